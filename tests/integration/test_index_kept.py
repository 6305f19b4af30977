"""The index of a bucket that a sync changes: equal to the bucket after each run, deletes included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aios3sync import UsageError
from aios3sync.testing.trees import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from aios3sync import ObjectIndex
    from tests.integration.conftest import Place

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]


async def assert_kept(index: ObjectIndex, place: Place, prefix: str, count: int) -> None:
    """Compare the index with a listing, which repairs nothing."""
    report = await index.reconcile(place.url(prefix), repair=False)
    assert (report.listed, report.differences, report.keys) == (count, 0, ())
    assert await index.stale() == []


async def test_uploads_copies_and_deletes_keep_the_index(place: Place, tmp_path: Path) -> None:
    s3, root = place.session, make_tree(tmp_path / "t", {"a": "1", "d/b": "22", "d/c": "3", "ü +%": "odd"})
    async with s3.index(f"sqlite:///{tmp_path / 'index.db'}") as index:
        await s3.sync(root, place.url("from"), index=index)
        await assert_kept(index, place, "from", 4)
        report = await s3.sync(place.url("from"), place.url("to"), index=index)
        assert (report.copied, report.warnings) == (4, ())
        await assert_kept(index, place, "to", 4)

        (root / "d/b").unlink()
        (root / "a").write_text("longer")
        report = await s3.sync(root, place.url("from"), index=index, delete="tracked")
        assert (report.uploaded, report.deleted) == (1, 1)
        await assert_kept(index, place, "from", 3)
        report = await s3.sync(place.url("from"), place.url("to"), index=index, delete="mirror")
        assert (report.copied, report.deleted) == (1, 1)
        await assert_kept(index, place, "to", 3)

        # A copy that is there already is recorded as well, whatever the index knew.
        await index.backend.sweep(place.bucket, "to/", 1e12, "", 100)
        await s3.sync(place.url("from"), place.url("to"), index=index, manifest=False)
        await assert_kept(index, place, "to", 3)


async def test_a_download_changes_no_bucket_and_refuses_an_index(place: Place, tmp_path: Path) -> None:
    s3 = place.session
    async with s3.index(f"sqlite:///{tmp_path / 'index.db'}") as index:
        with pytest.raises(UsageError, match="a download writes none"):
            await s3.sync(place.url("from"), tmp_path / "t", index=index)
    assert not (tmp_path / "t").exists()


async def test_what_goes_into_a_trash_is_found_in_the_index(place: Place, tmp_path: Path) -> None:
    s3, root = place.session, make_tree(tmp_path / "t", {"a": "1", "d/b": "22", "d/c": "3"})
    async with s3.index(f"sqlite:///{tmp_path / 'index.db'}") as index:
        await s3.sync(root, place.url("p"), index=index)
        (root / "d/b").unlink()
        options: dict[str, Any] = {"index": index, "delete": "tracked", "trash": place.url("trash")}
        report = await s3.sync(root, place.url("p"), **options)
        assert (report.exit_code, report.deleted, report.requests["CopyObject"]) == (0, 1, 1)
        assert await place.read() == {"p/a": b"1", "p/d/c": b"3", "trash/d/b": b"22"}
        await assert_kept(index, place, "", 3)
        await place.session.sync(place.url("p"), place.url("q"), index=index)
        (root / "a").unlink()
        await s3.sync(root, place.url("p"), **options)
        options["delete"] = "mirror"
        report = await s3.sync(place.url("p"), place.url("q"), **options)
        assert (report.exit_code, report.deleted) == (0, 1)
        await assert_kept(index, place, "", 4)
        assert (await place.read("trash/"))["a"] == b"1", "it was there already, and is there once"
