"""What may be deleted, and when nothing is: the promises P1 to P7 and the loss cases D1 to D16."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from aios3sync import ListingError, SourceError, StoreError, UnavailableError
from aios3sync.core.keys import stored_form
from aios3sync.local.walk import check_root
from aios3sync.store.protocol import (
    DeleteError,
    DeleteItem,
    ListPage,
    ObjectStore,
    PutResult,
    StoreCapabilities,
)
from aios3sync.store.wrappers.base import ForwardingStore
from aios3sync.testing.faulty import unavailable
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench

pytestmark = pytest.mark.usefixtures("settle")


def put(bench: Bench, *keys: str) -> None:
    """Objects that somebody else made."""
    body = MemoryStore(objects={"x": b"foreign"}).objects["x"]
    bench.memory.objects.update(dict.fromkeys(keys, body))


async def test_mirror_deletes_what_the_source_lacks_and_off_deletes_nothing(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    put(bench, "p/foreign")
    (bench.root / "b").unlink()
    assert (await bench.sync(check="list")).deleted == 0
    report = await bench.sync(delete="mirror")
    assert (report.deleted, report.kept) == (2, 1)
    assert set(bench.objects()) == {"a"}


async def test_tracked_deletes_only_own_objects_that_were_not_replaced(bench: Bench) -> None:
    bench.tree({"a": "1", "ours": "2", "theirs": "3"})
    await bench.sync()
    put(bench, "p/foreign", "p/theirs")
    (bench.root / "ours").unlink()
    (bench.root / "theirs").unlink()
    report = await bench.sync(delete="tracked")
    assert (report.deleted, report.conflicts, report.exit_code) == (1, 1, 3)
    assert set(bench.objects()) == {"a", "theirs", "foreign"}
    assert (await bench.sync(delete="tracked", check="list")).conflicts == 0, "the row was dropped"


async def test_tracked_with_nothing_gone_asks_s3_nothing(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.sync(delete="tracked")
    assert (await bench.sync(delete="tracked")).requests == {}


async def test_tracked_lists_the_target_before_it_deletes(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    (bench.root / "b").unlink()
    report = await bench.sync(delete="tracked")
    assert (report.requests, report.checked) == ({"ListObjectsV2": 1, "DeleteObjects": 1}, "list")
    assert (report.deleted, report.kept, report.scanned) == (1, 1, 1)


def no_token(page: ListPage) -> ListPage:
    raise ListingError("truncated without a token", operation="ListObjectsV2")


@pytest.mark.parametrize(
    "fault",
    [
        {"error": unavailable()},
        {"error": ListingError("malformed XML")},
        {"change": no_token},
        {"change": lambda page: page._replace(next_token="again")},
    ],
    ids=["503 past retries", "malformed XML", "truncated without token", "repeated token"],
)
async def test_D1_a_listing_that_breaks_off_on_page_2_deletes_nothing(
    bench: Bench, fault: dict[str, Any]
) -> None:
    """P1: no delete without two complete listings."""
    memory = MemoryStore(page_size=lambda asked: 2)
    bench.memory, bench.faults.inner = memory, memory
    bench.tree({"a": "1"})
    put(bench, *(f"p/f{n}" for n in range(10)))
    bench.faults.on("list_page", skip=1, times=-1, **fault)
    with pytest.raises(StoreError):
        await bench.sync(delete="mirror")
    assert len(bench.objects()) >= 10
    assert bench.faults.calls["delete_many"] == 0


async def test_D2_a_file_that_vanishes_during_the_walk_is_not_taken_for_a_hole(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({"a": "1", "b": "2", "c": "3"})
    await bench.sync()
    real = os.DirEntry

    import aios3sync.local.walk as scanner

    unstatable = scanner.Walk._stat

    def vanishing(self: Any, key: str, *, is_link: bool) -> None:
        if key == "b":
            (bench.root / "b").unlink()
        unstatable(self, key, is_link=is_link)

    monkeypatch.setattr(scanner.Walk, "_stat", vanishing)
    report = await bench.sync(delete="mirror", exclude=("no such file",))
    assert (report.vanished, report.deleted, report.kept) == (1, 0, 3)
    assert set(bench.objects()) == {"a", "b", "c"}
    monkeypatch.undo()
    assert real is os.DirEntry


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make a directory unreadable, also for root, who may read everything."""
    real = os.scandir

    def make(path: Path) -> None:
        def scandir(place: Any = ".") -> Any:
            if Path(place) == path:
                raise PermissionError(13, "Permission denied", str(place))
            return real(place)

        monkeypatch.setattr("aios3sync.local.walk.os.scandir", scandir)

    return make


async def test_D3_what_is_under_an_unreadable_directory_is_never_deleted(
    bench: Bench, deny: Callable[[Path], None]
) -> None:
    """P2: unknown is not absent."""
    bench.tree({"a": "1", "closed/b": "2", "closed/d/c": "3", "closed-not": "4", "gone": "5"})
    await bench.sync()
    deny(bench.root / "closed")
    (bench.root / "gone").unlink()
    report = await bench.sync(delete="mirror")
    assert (report.deleted, report.failed, report.exit_code) == (1, 1, 3)
    assert report.errors[0].key == "closed/"
    assert set(bench.objects()) == {"a", "closed/b", "closed/d/c", "closed-not"}


async def test_D3_an_unreadable_file_is_a_failure_and_its_object_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({"a": "1", "b": "2", "gone": "3"})
    await bench.sync()
    bench.tree({"b": "changed"})
    (bench.root / "gone").unlink()
    real = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith("source/b"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr("aios3sync.local.digest.os.open", refuse)
    report = await bench.sync(delete="mirror")
    assert (report.failed, report.withheld, report.exit_code) == (1, 1, 3)
    assert bench.objects() == {"a": b"1", "b": b"2", "gone": b"3"}


async def test_C16_a_name_that_is_no_key_protects_what_others_made_of_it(bench: Bench) -> None:
    bench.tree({"a": "1"})
    with open(os.path.join(os.fsencode(bench.root), b"caf\xe9.txt"), "wb"):
        pass
    put(bench, "p/caf\ufffd.txt", "p/caf\u00e9.txt", "p/cafe", "p/caf%E9.txt")
    report = await bench.sync(delete="mirror")
    assert (report.failed, report.withheld, report.deleted) == (1, 1, 0), "it may be what was moved"
    report = await bench.sync(delete="mirror", on_bad_name="skip")
    assert (report.skipped, report.deleted) == (1, 1)
    assert set(bench.objects()) == {"a", "caf\ufffd.txt", "caf\u00e9.txt", "caf%E9.txt"}


async def test_D4_a_missing_source_is_an_error(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.sync()
    shutil.rmtree(bench.root)
    with pytest.raises(SourceError, match="no such directory"):
        await bench.sync(delete="mirror")
    assert set(bench.objects()) == {"a"}


async def test_D4_an_empty_source_is_refused_when_something_would_be_deleted(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.sync()
    (bench.root / "a").unlink()
    report = await bench.sync(delete="mirror")
    assert report.refused is not None
    assert (report.refused["guard"], report.withheld, report.exit_code) == ("empty-source", 1, 4)
    assert set(bench.objects()) == {"a"}
    assert (await bench.sync(delete="mirror", allow_empty_source=True)).deleted == 1


async def test_P3_a_swapped_source_is_refused_before_the_first_upload(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({f"f{n}": str(n) for n in range(10)})
    await bench.sync()
    shutil.rmtree(bench.root)
    bench.tree({"other": "tree", "f1": "1"})
    on_another_device(monkeypatch, bench.root)
    report = await bench.sync()
    assert report.refused is not None
    assert (report.refused["guard"], report.uploaded, report.exit_code) == ("swapped-source", 0, 4)
    assert bench.faults.calls["put"] == 10


async def test_P3_the_same_tree_on_another_device_is_no_swap(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({f"f{n}": str(n) for n in range(10)})
    await bench.sync()
    on_another_device(monkeypatch, bench.root)
    assert (await bench.sync()).refused is None


def on_another_device(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    from aios3sync.local import root as local_root

    real = check_root

    def moved(path: str) -> os.stat_result:
        values = list(real(path))
        values[2] += 1
        return os.stat_result(values)

    monkeypatch.setattr(local_root, "check_root", moved)


async def test_P3_the_root_is_looked_at_again_before_the_first_delete(
    bench: Bench, no_blocking: BlockBuster
) -> None:
    no_blocking.deactivate()  # the test itself writes while the loop runs
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    (bench.root / "b").unlink()

    def swap(event: object) -> None:
        if type(event).__name__ == "PhaseBegan" and getattr(event, "phase", "") == "delete":
            bench.root.rename(bench.root.with_name("elsewhere"))
            bench.root.mkdir()

    bench.on_event = swap
    report = await bench.sync(delete="mirror")
    assert report.refused is not None
    assert (report.refused["guard"], report.deleted) == ("source-gone", 0)


async def test_D5_too_many_deletes_are_refused_before_the_first_one(bench: Bench) -> None:
    """P4: max-delete is checked on the plan."""
    bench.tree({f"f{n:03}": "x" for n in range(300)})
    await bench.sync()
    for n in range(180):
        (bench.root / f"f{n:03}").unlink()
    report = await bench.sync(delete="mirror")
    assert report.refused is not None
    assert (report.refused["guard"], report.refused["count"]) == ("max-delete-ratio", 180)
    assert (report.withheld, report.deleted, len(bench.objects())) == (180, 0, 300)
    report = await bench.sync(delete="mirror", max_delete=179, max_delete_ratio=1.0)
    assert report.refused is not None
    assert report.refused["guard"] == "max-delete"
    assert (await bench.sync(delete="mirror", max_delete=180, max_delete_ratio=0.6)).deleted == 180


@pytest.mark.parametrize("prefix", ["path", "path/"])
async def test_D6_a_prefix_ends_at_a_slash(bench: Bench, prefix: str) -> None:
    """P7: `path/` never touches `path-old/`, `pathx` or `path.txt`."""
    bench.tree({"a": "1"})
    siblings = {"path-old/keep", "pathx", "path.txt", "path"}
    put(bench, *siblings, "path/remove")
    report = await bench.sync(f"s3://bucket/{prefix}", delete="mirror")
    assert report.deleted == 1
    assert set(bench.memory.objects) == siblings | {"path/a"}


async def test_D7_objects_of_other_tools_are_never_deleted(bench: Bench) -> None:
    """P15, and its explicit way out."""
    bench.tree({"a": "1", "own.delta": "2"})
    await bench.sync()
    protected = {
        "p/reference.bin",
        "p/d/reference.bin",
        "p/x.zip.delta",
        "p/.deltaglider/stats_quick.json",
        "p/.aios3sync/state.json",
        "p/private_datasets_index.json",
    }
    put(bench, *protected, "p/plain")
    (bench.root / "own.delta").unlink()
    report = await bench.sync(delete="mirror")
    assert report.deleted == 2, "the plain one, and the delta that we uploaded ourselves"
    assert set(bench.memory.objects) == protected | {"p/a"}
    assert (await bench.sync(delete="mirror", delete_protected=True)).deleted == len(protected)


async def test_C13_directory_markers_stay_and_a_key_may_be_file_and_directory(bench: Bench) -> None:
    bench.tree({"a/b": "1"})
    bench.memory.objects["p/d/"] = MemoryStore(objects={"x": b""}).objects["x"]
    put(bench, "p/a", "p/a//b")
    report = await bench.sync(delete="mirror")
    assert report.deleted == 2
    assert set(bench.objects()) == {"a/b", "d/"}


async def test_D10_excluded_keys_are_invisible_to_delete(bench: Bench) -> None:
    """P6, and the explicit `--delete-excluded`."""
    bench.tree({"a.txt": "1", "b.tmp": "2", "cache/c.txt": "3"})
    put(bench, "p/b.tmp", "p/cache/old", "p/gone.txt")
    options: dict[str, Any] = {"exclude": ("*.tmp", "cache/*"), "delete": "mirror"}
    assert (await bench.sync(**options)).deleted == 1
    assert set(bench.objects()) == {"a.txt", "b.tmp", "cache/old"}
    assert (await bench.sync(**options, delete_excluded=True)).deleted == 2
    assert set(bench.objects()) == {"a.txt"}


async def test_D10_ignored_keys_are_invisible_to_delete(bench: Bench) -> None:
    bench.tree({"a.txt": "1", ".gitignore": "*.log\nbuild/\n", "x.log": "2", "sub/.gitignore": "y\n"})
    put(bench, "p/x.log", "p/build/out", "p/sub/y", "p/gone")
    report = await bench.sync(gitignore=True, delete="mirror")
    assert report.deleted == 1
    assert set(bench.objects()) == {"a.txt", ".gitignore", "sub/.gitignore", "x.log", "build/out", "sub/y"}


async def test_files_from_hides_everything_that_it_does_not_name(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2", "c": "3"})
    put(bench, "p/foreign")
    report = await bench.sync(files=("./b", "c", "c", "missing"), delete="mirror")
    assert (report.uploaded, report.failed, report.deleted, report.exit_code) == (2, 1, 0, 3)
    assert set(bench.objects()) == {"b", "c", "foreign"}


async def test_D13_deletes_wait_until_all_uploads_have_succeeded(bench: Bench) -> None:
    """P5."""
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    (bench.root / "b").unlink()
    bench.tree({"c": "3"})
    bench.faults.on("put", key="p/c", times=-1, error=unavailable())
    report = await bench.sync(delete="mirror")
    assert (report.failed, report.withheld, report.deleted, report.exit_code) == (1, 1, 0, 3)
    assert any("1 delete withheld: 1 upload failed" in text for text in report.warnings)
    assert set(bench.objects()) == {"a", "b"}
    report = await bench.sync(delete="mirror", delete_despite_errors=True)
    assert report.deleted == 1


async def test_D14_a_delete_names_the_etag_where_the_endpoint_honours_it(bench: Bench) -> None:
    memory = MemoryStore(capabilities=StoreCapabilities(conditional_delete=True))
    bench.memory, bench.faults.inner = memory, memory
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    (bench.root / "b").unlink()

    def replace(event: object) -> None:
        if type(event).__name__ == "PhaseBegan" and getattr(event, "phase", "") == "delete":
            put(bench, "p/b")

    bench.on_event = replace
    report = await bench.sync(delete="mirror")
    assert (report.deleted, report.failed) == (0, 1)
    assert bench.objects()["b"] == b"foreign"


async def test_D16_an_error_of_one_key_in_a_200_answer_is_reported(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2", "c": "3", "d": "4"})
    await bench.sync()
    for name in "bcd":
        (bench.root / name).unlink()
    once = DeleteError("p/b", "InternalError", "try again", retryable=True)
    always = DeleteError("p/c", "AccessDenied", "no", retryable=False)
    bench.faults.on("delete_many", delete_errors=(once,))
    bench.faults.on("delete_many", times=-1, delete_errors=(always,))
    report = await bench.sync(delete="mirror")
    assert (report.deleted, report.failed, report.exit_code) == (2, 1, 3)
    assert report.errors[0].key == "c"
    assert set(bench.objects()) == {"a", "c"}


async def test_more_than_a_thousand_deletes_go_in_batches(bench: Bench) -> None:
    bench.tree({"a": "1"})
    put(bench, *(f"p/f{n:04}" for n in range(2500)))
    report = await bench.sync(delete="mirror", max_delete_ratio=1.0)
    assert (report.deleted, report.requests["DeleteObjects"]) == (2500, 3)


async def test_C15_a_key_that_is_another_unicode_form_of_a_present_name_stays(bench: Bench) -> None:
    composed, decomposed = unicodedata.normalize("NFC", "é.txt"), unicodedata.normalize("NFD", "é.txt")
    bench.tree({composed: "1", "d/" + decomposed: "2"})
    put(bench, "p/" + decomposed, "p/d/" + composed, "p/other")
    report = await bench.sync(delete="mirror")
    assert (report.deleted, report.kept) == (1, 2)
    assert len(report.warnings) == 2


async def test_what_a_server_makes_of_a_backslash_stays(bench: Bench) -> None:
    """SeaweedFS stores `a\\b` as `a/b`: deleting that would delete what was just uploaded."""
    bench.tree({"back\\slash": "1"})
    put(bench, "p/back/slash")
    assert (await bench.sync(delete="mirror")).deleted == 0


class Folding(ForwardingStore):
    """A store that takes keys for paths, as SeaweedFS does."""

    async def put(self, key: str, *arguments: Any, **more: Any) -> PutResult:
        return await self.inner.put(stored_form(key), *arguments, **more)


@pytest.mark.parametrize("name", ["a\\b", "a\\\\b", "\\a"])
async def test_what_a_folding_server_stored_survives_any_number_of_mirroring_runs(
    bench: Bench, name: str
) -> None:
    bench.faults.inner = Folding(bench.memory)
    bench.tree({name: "1", "ok": "2"})
    for _ in range(3):
        assert (await bench.sync(delete="mirror")).deleted == 0
        assert set(bench.objects()) == {stored_form(name), "ok"}


async def test_the_manifest_inside_the_source_is_neither_sent_nor_deleted(bench: Bench) -> None:
    bench.tree({"a": "1"})
    path = str(bench.root / "state.sqlite")
    await bench.sync(manifest=path)
    await bench.sync(manifest=path, delete="mirror")
    assert set(bench.objects()) == {"a"}


async def test_a_dry_run_writes_nothing_and_reports_what_it_would_do(bench: Bench, isolated: Path) -> None:
    bench.tree({"a": "1", "b": "2"})
    put(bench, "p/foreign")
    report = await bench.sync(delete="mirror", dry_run=True)
    assert (report.uploaded, report.deleted, report.dry_run) == (2, 1, True)
    assert report.requests == {"ListObjectsV2": 1}
    assert set(bench.objects()) == {"foreign"}
    assert not list(isolated.glob("aios3sync/*"))
    assert (await bench.sync(delete="mirror")).uploaded == 2


class WriteOnly(ForwardingStore):
    """A bucket of which the credentials may delete objects and read none: a condition is refused."""

    def __init__(self, inner: ObjectStore, *, protected: str = "") -> None:
        super().__init__(inner)
        self.batches: list[tuple[int, bool]] = []
        self._protected = protected

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        self.batches.append((len(items), any(item.etag for item in items)))
        denied = [item for item in items if item.etag or item.key == self._protected]
        rest = [item for item in items if item not in denied]
        errors = await self.inner.delete_many(rest) if rest else []
        return errors + [DeleteError(item.key, "AccessDenied", "no", False) for item in denied]


async def test_a_role_that_may_not_read_objects_deletes_without_a_condition_and_is_warned_once(
    bench: Bench,
) -> None:
    memory = MemoryStore(capabilities=StoreCapabilities(conditional_delete=True))
    store = WriteOnly(memory)
    bench.memory, bench.faults.inner = memory, store
    bench.tree({"a": "1"})
    put(bench, *(f"p/f{n:04}" for n in range(1500)))
    bench.workers = 1
    report = await bench.sync(delete="mirror", max_delete_ratio=1.0)
    assert (report.deleted, report.failed, set(bench.objects())) == (1500, 0, {"a"})
    assert store.batches == [(1000, True), (1000, False), (500, False)]
    assert len([text for text in report.warnings if "s3:GetObject" in text]) == 1


async def test_a_key_that_may_not_be_deleted_is_asked_for_without_its_condition_once(bench: Bench) -> None:
    memory = MemoryStore(capabilities=StoreCapabilities(conditional_delete=True))
    store = WriteOnly(memory, protected="p/b")
    bench.memory, bench.faults.inner = memory, store
    bench.tree({"a": "1"})
    put(bench, "p/b")
    report = await bench.sync(delete="mirror", max_delete_ratio=1.0)
    assert (report.deleted, report.failed, report.warnings) == (0, 1, ())
    assert store.batches == [(1, True), (1, False)]


@pytest.mark.parametrize("status", [501, 400])
async def test_where_there_is_no_delete_objects_keys_are_deleted_one_by_one(
    bench: Bench, status: int
) -> None:
    lacking = StoreError("not implemented", code="NotImplemented", status=status)
    bench.faults.on("delete_many", times=-1, error=lacking)
    bench.tree({"a": "1"})
    put(bench, *(f"p/f{n:04}" for n in range(1200)))
    report = await bench.sync(delete="mirror", max_delete_ratio=1.0)
    assert (report.deleted, report.failed, set(bench.objects())) == (1200, 0, {"a"})
    assert bench.faults.calls["delete_one"] == 1200
    asked = bench.faults.calls["delete_many"]
    put(bench, "p/later")
    assert (await bench.sync(delete="mirror")).deleted == 1
    assert bench.faults.calls["delete_many"] == asked, "it is remembered"


async def test_one_batch_without_an_answer_is_one_silence(bench: Bench) -> None:
    silent = UnavailableError("no answer in time", code="Timeout")
    bench.tree({"a": "1"})
    put(bench, *(f"p/f{n:04}" for n in range(1500)))
    bench.workers = 1
    bench.faults.on("delete_many", times=3, error=silent)  # as often as a request is sent
    report = await bench.sync(delete="mirror", max_delete_ratio=1.0)
    assert (report.deleted, report.failed) == (500, 1000)
