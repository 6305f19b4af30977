"""Promises about copies and downloads that no other test shows: neighbours, odd keys, foreign objects."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from aios3sync.errors import BucketNotFoundError
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench, body_tree
from tests.sync.copying import PLAIN, CopyBench, md5

ODD_KEYS = (
    *("..", "../up", "a//b", "/lead", "trail/", ".", "./x", "%2F", "a b+c?d#e&f", "back\\slash", "\x01\t\n"),
    *("e\u0301", "\u00e9", "A", "a", "\U0001f600", "x" * 900, "con", "a:b", "*", '"quoted"'),
)
OF_TOOLS = (
    *(".deltaglider/config", "d/.aios3sync/stats_quick.json", "private_datasets_index.json"),
    *("d/public_models.json", "reference.bin", "d/v1.delta", "folder/", ".thumbnails/256/a.webp"),
)


@pytest.fixture(params=[False, True], ids=["on the server", "through memory"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> CopyBench:
    return CopyBench(tmp_path, apart=request.param)


async def test_P3_a_missing_source_is_an_error_and_deletes_nothing(bench: CopyBench) -> None:
    await bench.put({"a": b"1"})
    await bench.sync()
    bench.source.exists = False
    with pytest.raises(BucketNotFoundError):
        await bench.sync(delete="mirror", allow_empty_source=True)
    assert bench.copies() == {"a": b"1"}


async def test_P7_neighbours_of_a_prefix_are_not_touched(bench: CopyBench) -> None:
    await bench.put({"x": b"1"})
    for store, keys in ((bench.source, ("a-old/y", "ax", "a")), (bench.target, ("b-old/z", "bx", "b"))):
        for key in keys:
            await store.put(key, b"theirs", PLAIN, md5=md5(b"theirs"))
    before = bench.target.bodies()
    report = await bench.sync(delete="mirror")
    assert (report.copied, report.deleted) == (1, 0)
    assert bench.target.bodies() == before | {"b/x": b"1"}


async def test_P8_what_is_replaced_while_it_is_copied_is_not_recorded_as_the_new_one(
    bench: CopyBench,
) -> None:
    await bench.put({"x": b"old"})
    replaced = MemoryStore(objects={"x": b"new"}).objects["x"]

    def replace_source(result: object) -> object:
        bench.source.objects["a/x"] = replaced
        return result

    bench.writes.on("put" if bench.apart else "copy", change=replace_source)
    assert (await bench.sync()).exit_code == 0
    assert bench.copies() == {"x": b"old"}
    assert (await bench.sync()).copied == 1
    assert bench.copies() == {"x": b"new"}


async def test_P9_a_stop_leaves_every_object_in_one_state(bench: CopyBench) -> None:
    await bench.put({f"{number:04}": b"x" for number in range(3000)})

    def stop(result: object) -> object:
        bench.stop.request(signal.SIGINT)
        return result

    bench.writes.on("put" if bench.apart else "copy", skip=100, change=stop)
    report = await bench.sync()  # the bench looks at the sum of all states
    assert report.exit_code == 130
    assert report.copied + report.cancelled == report.planned
    assert 100 <= report.copied < 3000
    assert len(bench.copies()) == report.copied


async def test_P11_keys_are_copied_as_they_are(bench: CopyBench) -> None:
    objects = {key: key.encode() for key in ODD_KEYS}
    await bench.put(objects)
    assert (await bench.sync()).copied == len(objects)
    assert bench.copies() == objects
    assert (await bench.sync()).kept == len(objects)


async def test_P15_objects_of_other_tools_are_never_deleted(bench: CopyBench) -> None:
    for key in (*OF_TOOLS, "foreign"):
        body = b"" if key.endswith("/") else b"theirs"
        await bench.target.put(f"b/{key}", body, PLAIN, md5=md5(body))
    await bench.put({"a": b"1"})
    report = await bench.sync(delete="mirror")
    assert report.deleted == 1
    assert bench.copies().keys() == {"a", *OF_TOOLS}
    report = await bench.sync(delete="mirror", delete_protected=True)
    assert bench.copies().keys() == {"a"}


async def test_P7_neighbours_of_a_prefix_do_not_come_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    memory = MemoryStore(objects={"p/a": b"1", "p-old/b": b"2", "px": b"3", "p": b"4"})
    bench = Bench(tmp_path / "tree", memory, FaultyStore(memory))
    bench.root.mkdir()
    (bench.root.parent / "tree-old").mkdir()
    (bench.root.parent / "tree-old" / "mine").write_bytes(b"mine")
    await bench.download(delete="mirror", fsync=False)
    assert body_tree(bench.root) == {"a": b"1"}
    assert body_tree(bench.root.parent / "tree-old") == {"mine": b"mine"}
