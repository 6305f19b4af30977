"""The rows of a range of a manifest: those of the whole that are in it, however they are read."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from anyio import to_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios3sync.core.entries import RecordedEntry
from aios3sync.core.key_range import KeyRange
from aios3sync.manifest.files import temporary_manifest
from aios3sync.manifest.protocol import Manifest
from aios3sync.sync.manifest_range import ManifestRange
from tests.sync.conftest import Bench

TEXT = "!/0aé\ud7ff\ue000\U0010ffff"
KEYS = st.sets(st.text(TEXT, min_size=1, max_size=4), max_size=25)


@pytest.fixture
async def whole() -> AsyncIterator[Manifest]:
    manifest = await to_thread.run_sync(temporary_manifest)
    yield manifest
    await manifest.close()


def row(key: str) -> RecordedEntry:
    return RecordedEntry(key, 1, 2, 3, 4, "", "")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=KEYS,
    first=st.text(TEXT, max_size=3),
    end=st.text(TEXT, max_size=3),
    after=st.text(TEXT, max_size=3),
    limit=st.integers(1, 5),
)
async def test_what_is_read_is_what_is_in_the_range(
    keys: set[str], first: str, end: str, after: str, limit: int
) -> None:
    manifest = await to_thread.run_sync(temporary_manifest)
    try:
        await manifest.record([row(key) for key in sorted(keys)], [])
        part = ManifestRange(manifest, KeyRange(first, end))
        held = [key for key in sorted(keys) if first <= key and (not end or key < end)]
        beyond = [key for key in held if key > after]
        read: list[str] = []
        while page := await part.page(read[-1] if read else None, limit):
            assert len(page) <= limit
            read += [entry.key for entry in page]
        assert read == held
        rows = await to_thread.run_sync(part.rows_after, after, limit)
        assert [entry.key for entry in rows] == beyond[: len(rows)]
        assert bool(rows) == bool(beyond)
        last = after + "a"
        through = await to_thread.run_sync(part.rows_through, after, last)
        assert [entry.key for entry in through] == [key for key in beyond if key <= last]
        stats = [stat[0] for stat in await to_thread.run_sync(part.stats_after, after, limit)]
        assert stats == beyond[: len(stats)]
        cut = await part.key_after(after, limit)
        assert cut is None or cut in beyond
    finally:
        await manifest.close()


async def test_rows_outside_of_the_range_are_neither_read_nor_changed(bench: Bench) -> None:
    """The run of a range goes by the manifest of all: what is not in the range is not called absent."""
    bench.tree({"a": b"1", "c": b"4", "m": b"2", "z": b"3"})
    await bench.sync()
    (bench.root / "m").unlink()
    (bench.root / "z").unlink()
    report = await bench.sync(key_range=KeyRange("b", "n"), delete="mirror")
    assert (report.scanned, report.deleted, report.planned) == (1, 1, 2)
    assert bench.objects() == {"a": b"1", "c": b"4", "z": b"3"}
    report = await bench.sync(delete="tracked")
    assert (report.kept, report.deleted, report.planned) == (2, 1, 3)


async def test_the_state_and_what_is_written_are_the_wholes(whole: Manifest) -> None:
    part = ManifestRange(whole, KeyRange("b", "c"))
    await part.record([row("a"), row("b")], [])
    assert await part.count() == await whole.count() == 2
    assert await part.get("a") == row("a")
    assert await part.lacks_headers()
    assert (part.place, part.binding) == (whole.place, whole.binding)
    state = await part.state()
    await part.save_state(state.listed("", 7.0))
    assert (await whole.state()).listed_at == 7.0
    await part.clear()
    assert await whole.count() == 0
    await part.close()


def test_nothing_of_the_protocol_is_left_out() -> None:
    methods = {name for name in vars(Manifest) if not name.startswith("_")}
    assert methods <= {name for name in vars(ManifestRange) if not name.startswith("_")}
