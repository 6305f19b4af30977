"""A HEAD that fails is the affair of its file: an upload where nothing else proves it, or a failure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aios3sync.errors import (
    AccessDeniedError,
    CredentialsError,
    ObjectNotFoundError,
    StoreError,
    UnavailableError,
)
from aios3sync.testing.faulty import unavailable
from tests.sync.conftest import MIB, Bench

pytestmark = pytest.mark.usefixtures("settle")

REFUSALS = [
    AccessDeniedError("no", code="403", status=403),
    ObjectNotFoundError("gone", code="404", status=404),
    StoreError("bad request", code="400", status=400),
    StoreError("not allowed", code="405", status=405),
    StoreError("odd", code="InvalidObjectState", status=403),
]
UNANSWERED = [unavailable(), UnavailableError("no answer")]
OPTIONS: dict[str, Any] = {"multipart_threshold": 8 * MIB, "part_size": 5 * MIB + 12345}


async def doubtful(bench: Bench, isolated: Path) -> None:
    """A file that only HEAD can tell to be the same as its object, and others that need none."""
    bench.tree({"big.bin": os.urandom(12 * MIB), "a": "1", "z": "2"})
    await bench.sync(**OPTIONS)
    for path in isolated.glob("aios3sync/*"):
        path.unlink()
    bench.tree({"new": "3"})


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.code)
async def test_an_object_that_cannot_be_looked_at_is_uploaded(
    bench: Bench, isolated: Path, error: StoreError
) -> None:
    await doubtful(bench, isolated)
    bench.faults.on("head", times=-1, error=error)
    report = await bench.sync()
    assert (report.adopted, report.uploaded, report.failed, report.exit_code) == (2, 2, 0, 0)


@pytest.mark.parametrize("error", UNANSWERED, ids=["500", "no answer"])
async def test_an_object_that_cannot_be_asked_for_is_the_failure_of_its_file(
    bench: Bench, isolated: Path, error: StoreError
) -> None:
    await doubtful(bench, isolated)
    bench.faults.on("head", times=3, error=error)
    report = await bench.sync()
    assert (report.adopted, report.uploaded, report.failed, report.exit_code) == (2, 1, 1, 3)
    assert [failure.key for failure in report.errors] == ["big.bin"]


async def test_a_broken_session_ends_the_run(bench: Bench, isolated: Path) -> None:
    await doubtful(bench, isolated)
    bench.faults.on("head", times=-1, error=CredentialsError("expired", code="ExpiredToken", status=400))
    with pytest.raises(CredentialsError):
        await bench.sync()


async def test_a_finished_upload_that_cannot_be_looked_at_is_uploaded(bench: Bench) -> None:
    bench.tree({"big.bin": os.urandom(12 * MIB)})
    bench.faults.etag("complete_multipart", "")
    bench.faults.on("head", times=-1, error=AccessDeniedError("no", code="403", status=403))
    report = await bench.sync(**OPTIONS)
    assert (report.uploaded, report.failed, report.exit_code) == (1, 0, 0)
    report = await bench.sync()
    assert (report.requests, report.kept) == ({}, 1)
