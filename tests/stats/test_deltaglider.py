"""DeltaGlider's numbers for objects that the real one wrote, and its cache file, which both can read.

``deltaglider.json`` was recorded with the real package: its objects, and its numbers of them. The live
test installs it into an environment of its own; enable it with ``AIOS3SYNC_TEST_DELTAGLIDER=1`` (it needs
the package index and ``xdelta3``).
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from anyio import to_thread

import aios3sync
from aios3sync.stats.deltaglider import MAX_LISTED, decode_envelope
from aios3sync.stats.model import Mode
from tests.clients import boto3_client

if TYPE_CHECKING:
    from aios3sync.testing.servers import Endpoint
    from tests.stats.conftest import Bench

HERE = Path(__file__).parent
RECORDED = json.loads((HERE / "deltaglider.json").read_text("utf-8"))
MODES: tuple[Mode, ...] = ("quick", "sampled", "detailed")
LIVE = os.environ.get("AIOS3SYNC_TEST_DELTAGLIDER") == "1"


@pytest.fixture
async def releases(bench: Bench) -> Bench:
    """The bucket that DeltaGlider wrote, under the name that it had."""
    bench.memory._bucket = "releases"
    for item in RECORDED["objects"]:
        await bench.put(item["key"], bytes(item["size"]), metadata=item["metadata"])
    return bench


@pytest.mark.parametrize("mode", MODES)
async def test_every_field_equals_deltagliders_own(releases: Bench, mode: str) -> None:
    found = await releases.stats(mode=mode)
    assert asdict(found.deltaglider) == RECORDED["stats"][mode]


async def test_our_detailed_numbers_are_the_same(releases: Bench) -> None:
    found, theirs = await releases.stats(mode="detailed"), RECORDED["stats"]["detailed"]
    assert found.original_bytes.value == theirs["total_size"]
    assert found.stored_bytes.value == theirs["compressed_size"]
    assert found.saved_bytes.value == theirs["space_saved"]
    assert found.ratio.value == pytest.approx(theirs["average_compression_ratio"])
    kinds = {kind.name: kind for kind in found.kinds}
    counts = {name: kind.objects.value for name, kind in kinds.items()}
    assert counts == {"delta": 10, "direct": 3, "reference": 4}
    assert kinds["delta"].original_bytes.known == "exact"
    assert found.heads.asked == found.heads.answered == 10


async def test_sampled_asks_one_object_of_each_folder_and_the_last_of_some(releases: Bench) -> None:
    found = await releases.stats(mode="sampled")
    assert found.original_bytes.value == RECORDED["stats"]["sampled"]["total_size"]
    assert found.original_bytes.known == "sampled"
    assert found.heads.asked == 4 + 3
    assert found.original_bytes.low is not None
    assert found.original_bytes.high is not None
    truth = RECORDED["stats"]["detailed"]["total_size"]
    assert found.original_bytes.low <= truth <= found.original_bytes.high


async def test_quick_does_not_know_the_original_bytes(releases: Bench) -> None:
    found = await releases.stats()
    for number in (found.original_bytes, found.saved_bytes, found.ratio):
        assert (number.known, number.value) == ("unknown", None)
        assert "sampled" in number.note
    assert found.heads.asked == 0


@pytest.mark.parametrize("mode", MODES)
async def test_the_file_is_in_deltagliders_envelope(releases: Bench, mode: str) -> None:
    await releases.stats(mode=mode)
    stored = releases.memory.objects[f".deltaglider/stats_{mode}.json"]
    document = json.loads(stored.body)
    assert (document["version"], document["mode"]) == ("1.0", mode)
    assert document["stats"] == RECORDED["stats"][mode]
    assert stored.options.metadata == {"content-type": "application/json", "x-deltaglider-cache": "true"}
    assert decode_envelope(stored.body, mode).stats.bucket == "releases"  # type: ignore[arg-type]


@pytest.mark.parametrize("modes", [MODES[:1], MODES, [*MODES, "quick"]], ids=len)
async def test_the_file_is_current_by_what_deltaglider_lists(releases: Bench, modes: list[str]) -> None:
    """It counts all objects, files of tools and the file itself too, so the last file written is current."""
    for mode in modes:
        releases.now += 60
        await releases.put("app/more.zip", bytes(100 + int(releases.now) % 50))
        await releases.stats(mode=mode)
        document = json.loads(releases.memory.objects[f".deltaglider/stats_{mode}.json"].body)
        everything = releases.memory.bodies().values()
        assert document["validation"]["object_count"] == len(everything)
        assert document["validation"]["compressed_size"] == sum(map(len, everything))


async def test_a_bucket_that_deltaglider_would_not_list_whole_gets_no_file_of_it(
    releases: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAX_LISTED, "quick", len(RECORDED["objects"]) + 2)
    found = await releases.stats()
    assert ".deltaglider/stats_quick.json" in releases.memory.objects, "just as many as it lists"
    await releases.put("one more", b"")
    found = await releases.stats()
    assert found.cache.written
    stale = json.loads(releases.memory.objects[".deltaglider/stats_quick.json"].body)
    assert stale["validation"]["object_count"] == len(RECORDED["objects"]) + 2


def theirs(mode: str = "detailed", **changes: Any) -> bytes:
    """A cache file as DeltaGlider for Python writes it: without a fingerprint, its own caches counted."""
    document = {
        "version": "1.0",
        "mode": mode,
        "computed_at": "2026-11-21T11:00:00.123456+00:00",
        "validation": {
            "object_count": len(RECORDED["objects"]),
            "compressed_size": sum(item["size"] for item in RECORDED["objects"]),
        },
        "stats": RECORDED["stats"][mode],
    }
    return json.dumps({**document, **changes}, indent=2).encode()


THEIR_KEY = ".deltaglider/stats_detailed.json"


async def test_a_file_of_deltaglider_spares_the_head_requests_if_the_option_allows_it(
    releases: Bench,
) -> None:
    await releases.put(THEIR_KEY, theirs())
    found = await releases.stats(mode="detailed", deltaglider=True)
    assert releases.asked["head"] == 0
    assert asdict(found.deltaglider) == RECORDED["stats"]["detailed"]
    assert found.original_bytes.value == RECORDED["stats"]["detailed"]["total_size"]
    assert found.original_bytes.known == "estimated"
    assert "count and bytes alone" in found.original_bytes.note
    assert not found.cache.written


async def test_a_file_of_deltaglider_is_not_trusted_without_the_option(releases: Bench) -> None:
    await releases.put(THEIR_KEY, theirs())
    assert (await releases.stats(mode="detailed")).heads.asked == 10


async def test_a_file_of_deltaglider_with_other_totals_is_not_trusted(releases: Bench) -> None:
    await releases.put(THEIR_KEY, theirs())
    await releases.put_delta("app/more.zip.delta", 10, 1000)
    assert (await releases.stats(mode="detailed", deltaglider=True)).heads.asked == 11


async def test_deltaglider_counts_its_own_caches(releases: Bench) -> None:
    """DeltaGlider for Python counts what is below ``.deltaglider/``, the one for Rust does not."""
    await releases.put(".deltaglider/stats_quick.json", b"12345")
    validation = json.loads(theirs())["validation"]
    counted = {
        "object_count": validation["object_count"] + 1,
        "compressed_size": validation["compressed_size"] + 5,
    }
    await releases.put(THEIR_KEY, theirs())
    assert (await releases.stats(mode="detailed", deltaglider=True)).heads.asked == 0
    self_counting = {"object_count": counted["object_count"] + 1, "compressed_size": 0}
    body = theirs(validation=self_counting)
    while self_counting["compressed_size"] != counted["compressed_size"] + len(body):
        self_counting["compressed_size"] = counted["compressed_size"] + len(body)
        body = theirs(validation=self_counting)
    await releases.put(THEIR_KEY, body)
    assert (await releases.stats(mode="detailed", deltaglider=True)).heads.asked == 0


async def test_without_our_own_file_deltagliders_spares_the_head_requests(releases: Bench) -> None:
    await releases.stats(mode="detailed")
    del releases.memory.objects[".aios3sync/stats_detailed.json"]
    found = await releases.stats(mode="detailed")
    assert found.heads.asked == 0
    assert found.original_bytes.value == RECORDED["stats"]["detailed"]["total_size"]
    await releases.put("app/app-app_0.zip.delta", bytes(58), metadata={"dg-file-size": "1"})
    releases.now += 60
    await releases.put("app/app-app_0.zip.delta", bytes(58), metadata={"dg-file-size": "1"})
    assert (await releases.stats(mode="detailed")).heads.asked == 10


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        theirs(mode="sampled"),
        theirs(stats={}),
        theirs(stats={**RECORDED["stats"]["detailed"], "extra": 1}),
        theirs(stats={**RECORDED["stats"]["detailed"], "total_size": "12"}),
        theirs(validation={}),
    ],
    ids=["empty", "list", "mode", "no stats", "extra field", "text", "no validation"],
)
async def test_an_invalid_file_of_deltaglider_is_not_trusted(releases: Bench, body: bytes) -> None:
    await releases.put(THEIR_KEY, body)
    found = await releases.stats(mode="detailed", deltaglider=True)
    assert found.heads.asked == 10
    assert decode_envelope(releases.memory.objects[THEIR_KEY].body, "detailed").object_count == 19


@pytest.mark.parametrize("version", ["0.9", "2.0"])
async def test_the_file_of_another_version_is_left_alone(releases: Bench, version: str) -> None:
    newer = theirs(version=version, stats={"total_objects": 1})
    await releases.put(THEIR_KEY, newer)
    found = await releases.stats(mode="detailed")
    assert (found.heads.asked, found.cache.written, found.warnings) == (10, True, ())
    assert releases.memory.objects[THEIR_KEY].body == newer


@pytest.mark.parametrize(
    ("metadata", "kind", "original"),
    [
        ({"dg-file-size": "1000"}, "delta", 1000),
        ({"dg_file_size": "1000"}, "delta", 1000),
        ({"file_size": "1000"}, "delta", 1000),
        ({"file-size": "1000"}, "delta", 1000),
        ({"deltaglider-original-size": "1000"}, "delta", 1000),
        ({"dg-file-size": "", "file_size": "1000"}, "delta", 1000),
        ({"dg-file-size": "1000", "file_size": "2"}, "delta", 1000),
        ({}, "direct", 10),
        ({"note": "somebody else's delta"}, "direct", 10),
    ],
    ids=str,
)
async def test_names_of_the_size(bench: Bench, metadata: dict[str, str], kind: str, original: int) -> None:
    await bench.put("x.delta", bytes(10), metadata=metadata)
    found = await bench.stats(mode="detailed")
    (only,) = found.kinds
    assert (only.name, only.original_bytes.value, only.original_bytes.known) == (kind, original, "exact")
    assert found.deltaglider.delta_objects == 1
    assert found.deltaglider.total_size == (original if kind == "delta" else 0)


async def test_a_delta_that_does_not_tell_its_size_is_estimated(bench: Bench) -> None:
    await bench.put_delta("a.delta", 10, 100)
    await bench.put("b.delta", bytes(10), metadata={"dg-tool": "deltaglider/6", "dg-file-size": "many"})
    found = await bench.stats(mode="detailed")
    original = found.original_bytes
    assert (original.value, original.known, original.low, original.fraction) == (200, "estimated", 100, 0.5)
    assert found.deltaglider.total_size == 100


async def test_an_orphaned_reference_is_in_our_bytes_and_not_in_theirs(bench: Bench) -> None:
    await bench.put("old/reference.bin", bytes(500))
    await bench.put("plain", bytes(20))
    found = await bench.stats(mode="detailed", every=True)
    assert (found.deltaglider.compressed_size, found.stored_bytes.value) == (20, 520)
    assert (found.saved_bytes.value, found.original_bytes.known) == (-500, "exact")


@pytest.mark.server
@pytest.mark.skipif(not LIVE, reason="installs DeltaGlider from the package index")
@pytest.mark.timeout(300)
async def test_the_real_deltaglider_agrees_on_a_real_server(
    seaweedfs: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shutil.which("xdelta3"), "the real DeltaGlider needs xdelta3"
    from tests.stats.deltaglider_real import RealDeltaGlider

    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    environment = {**seaweedfs.environment(), "AWS_ENDPOINT_URL": seaweedfs.url}
    venv = Path(os.environ.get("DELTAGLIDER_VENV", str(tmp_path / "venv")))
    real = await to_thread.run_sync(RealDeltaGlider, venv, environment)
    client = boto3_client(seaweedfs)
    await to_thread.run_sync(lambda: client.create_bucket(Bucket="live-releases"))
    await to_thread.run_sync(real, "upload", "live-releases")
    wanted = await to_thread.run_sync(real, "stats", "live-releases")
    files = []
    async with aios3sync.connect() as s3:
        for mode in MODES:
            found = await s3.stats("s3://live-releases", mode=mode)
            assert asdict(found.deltaglider) == wanted[mode]
            store = await s3.store("live-releases")
            file = tmp_path / f"{mode}.json"
            file.write_bytes((await store.get(f".deltaglider/stats_{mode}.json")).body)
            files.append(file)
    read = await to_thread.run_sync(lambda: real("parse", "live-releases", *files))
    for mode in MODES:
        assert read[mode]["complaints"] == []
        assert read[mode]["stats"] == wanted[mode]
        assert read[mode]["validation"]["object_count"] > 17, "hidden objects count too"
