"""Credentials that may only write: the manifest alone tells what changed, and nothing is deleted."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aios3sync.errors import AccessDeniedError, UsageError
from aios3sync.options import SyncOptions
from tests.sync.conftest import MIB, Bench

pytestmark = pytest.mark.usefixtures("settle")

READS = ("list_page", "head", "get", "list_parts", "list_multiparts", "versioning")


def write_only(bench: Bench, code: str = "AccessDenied") -> None:
    """Allow PutObject and what belongs to multipart uploads alone."""
    for verb in (*READS, "delete_many", "delete_one", "copy"):
        operation = {"list_page": "ListObjectsV2", "head": "HeadObject"}.get(verb, verb)
        error = AccessDeniedError(f"{operation}: no", code=code, status=403, operation=operation)
        bench.faults.on(verb, times=-1, error=error)


@pytest.mark.parametrize("first", [{"incremental": False}, {"no_list": True}], ids=str)
async def test_a_role_that_may_only_write_has_incremental_syncs(bench: Bench, first: dict[str, Any]) -> None:
    write_only(bench)
    bench.tree({"a": "1", "big.bin": os.urandom(6 * MIB)})
    report = await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB, **first)
    assert (report.uploaded, report.exit_code) == (2, 0)
    report = await bench.sync(no_list=True)
    assert (report.requests, report.kept, report.checked, report.exit_code) == ({}, 2, "manifest", 0)
    bench.tree({"b": "2", "a": "changed"})
    report = await bench.sync(no_list=True)
    assert (report.uploaded, report.kept, report.requests) == (2, 1, {"PutObject": 2})
    assert report.warnings == ()


async def test_nothing_is_deleted_or_forgotten(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2"})
    await bench.sync(no_list=True)
    (bench.root / "a").unlink()
    report = await bench.sync(no_list=True)
    assert (report.requests, report.deleted, report.forgotten) == ({}, 0, 0)
    assert set(bench.objects()) == {"a", "b"}
    assert (await bench.sync(delete="tracked")).deleted == 1


async def test_a_target_that_contradicts_the_manifest_is_not_listed_either(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.sync(no_list=True)
    bench.tree({"a": "changed"})
    bench.faults.on("put", error=AccessDeniedError("no", code="AccessDenied", status=403))
    report = await bench.sync(no_list=True)
    assert (report.failed, report.requests.get("ListObjectsV2")) == (1, None)
    assert (await bench.sync(no_list=True)).uploaded == 1


@pytest.mark.parametrize("wrong", [{"delete": "mirror"}, {"delete": "tracked"}, {"check": "list"}], ids=str)
def test_what_needs_a_listing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"^no_list: "):
        SyncOptions(no_list=True, **wrong)


@pytest.mark.parametrize("code", ["AccessDenied", "403"])
async def test_an_ordinary_run_goes_on_with_what_the_manifest_knows(bench: Bench, code: str) -> None:
    write_only(bench, code)
    bench.tree({"a": "1"})
    await bench.sync(incremental=False)
    bench.tree({"b": "2"})
    report = await bench.sync()
    assert (report.uploaded, report.kept, report.exit_code) == (1, 1, 0)
    assert report.requests == {"ListObjectsV2": 1, "PutObject": 1}
    assert any("--no-list" in warning for warning in report.warnings)
    assert (await bench.sync()).uploaded == 0


async def test_without_a_manifest_the_refusal_names_the_way_out(bench: Bench) -> None:
    write_only(bench)
    bench.tree({"a": "1"})
    with pytest.raises(AccessDeniedError, match="--no-list"):
        await bench.sync()
    assert bench.objects() == {}


@pytest.mark.parametrize("options", [{"delete": "mirror"}, {"delete": "tracked"}, {"check": "list"}], ids=str)
async def test_a_run_that_needs_the_listing_fails_without_it(bench: Bench, options: dict[str, Any]) -> None:
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    (bench.root / "a").unlink()
    write_only(bench)
    with pytest.raises(AccessDeniedError):
        await bench.sync(**options)
    assert set(bench.objects()) == {"a", "b"}


async def test_a_wrong_secret_is_no_missing_right(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.sync(incremental=False)
    bench.faults.on("list_page", error=AccessDeniedError("no", code="SignatureDoesNotMatch", status=403))
    with pytest.raises(AccessDeniedError, match=r"^no$"):
        await bench.sync()
