"""A refusal that is the same for every file ends the uploads after twenty, and nothing else of the run."""

from __future__ import annotations

import pytest

from aios3sync.errors import AccessDeniedError, StoreError
from aios3sync.sync.refusals import REFUSED_AFTER
from tests.sync.conftest import MIB, Bench

pytestmark = pytest.mark.usefixtures("settle")

DENIED = AccessDeniedError("PutObject s3://bucket: no", code="AccessDenied", status=403)
NO_ACL = StoreError("no ACLs here", code="AccessControlListNotSupported", status=400)
KMS = StoreError("the key is disabled", code="KMS.DisabledException", status=400)
QUOTA = StoreError("the bucket is full", code="QuotaExceeded", status=403)
FULL = StoreError("no room", code="XMinioStorageFull", status=507)
OPTION = StoreError("PutObject: the endpoint refuses --tag: no tags", code="InvalidArgument", status=400)
OF_EVERY_FILE = [DENIED, NO_ACL, KMS, QUOTA, FULL, OPTION]
OF_ONE_FILE = [
    StoreError("the name is too long", code="KeyTooLongError", status=400),
    StoreError("odd name", code="XMinioInvalidObjectName", status=400),
    StoreError("too large", code="EntityTooLarge", status=400),
    StoreError("something", code="InvalidArgument", status=400),
]

each_refusal = pytest.mark.parametrize("error", OF_EVERY_FILE, ids=lambda error: error.code)


@each_refusal
async def test_the_rest_is_cancelled_after_twenty(bench: Bench, error: StoreError) -> None:
    bench.tree({f"f{n:03}": "x" for n in range(300)})
    bench.faults.on("put", times=-1, error=error)
    report = await bench.sync()
    assert (report.uploaded, report.failed, report.cancelled) == (0, REFUSED_AFTER, 300 - REFUSED_AFTER)
    assert report.exit_code == 3
    assert len(report.errors) == REFUSED_AFTER
    assert bench.faults.calls["put"] <= REFUSED_AFTER + bench.workers
    assert sum(str(error) in warning for warning in report.warnings) == 1


@each_refusal
async def test_the_next_run_begins_again(bench: Bench, error: StoreError) -> None:
    bench.tree({f"f{n:03}": "x" for n in range(60)})
    fault = bench.faults.on("put", times=-1, error=error)
    await bench.sync()
    fault.times = 0
    report = await bench.sync()
    assert (report.uploaded, report.cancelled, report.exit_code) == (60, 0, 0)


@pytest.mark.parametrize("despite", [False, True])
@pytest.mark.parametrize("delete", ["mirror", "tracked"])
async def test_deletes_are_withheld(bench: Bench, delete: str, *, despite: bool) -> None:
    bench.tree({"old": "1", "kept": "2"})
    await bench.sync()
    (bench.root / "old").unlink()
    bench.tree({f"f{n:03}": "x" for n in range(60)})
    bench.faults.on("put", times=-1, error=NO_ACL)
    report = await bench.sync(delete=delete, delete_despite_errors=despite)
    assert (report.deleted, report.withheld, report.failed, report.cancelled) == (0, 1, 20, 40)
    assert "old" in bench.objects()


async def test_a_run_that_does_not_list_ends_as_well(bench: Bench) -> None:
    bench.tree({f"f{n:03}": "x" for n in range(60)})
    await bench.sync()
    bench.tree({f"f{n:03}": "changed" for n in range(60)})
    bench.faults.on("put", times=-1, error=KMS)
    report = await bench.sync()
    assert (report.checked, report.failed, report.cancelled) == ("manifest", 20, 40)


async def test_large_files_are_counted_with_the_others(bench: Bench) -> None:
    bench.tree({f"f{n:03}": b"x" * 100 for n in range(60)})
    bench.faults.on("create_multipart", times=-1, error=QUOTA)
    report = await bench.sync(multipart_threshold=50, part_size=5 * MIB)
    assert (report.failed, report.cancelled) == (20, 40)
    assert bench.faults.calls["create_multipart"] <= 24


async def test_a_bucket_that_becomes_full_ends_the_uploads(bench: Bench) -> None:
    bench.tree({f"f{n:03}": "x" for n in range(100)})
    bench.faults.on("put", skip=30, times=-1, error=QUOTA)
    report = await bench.sync()
    assert (report.uploaded, report.failed, report.cancelled) == (30, 20, 50)


async def test_a_policy_may_hold_for_some_keys_alone(bench: Bench) -> None:
    bench.tree({f"f{n:03}": "x" for n in range(100)})
    bench.faults.on("put", skip=30, times=50, error=DENIED)
    report = await bench.sync()
    assert (report.uploaded, report.failed, report.cancelled) == (50, 50, 0)


async def test_a_success_among_them_begins_the_row_anew(bench: Bench) -> None:
    bench.workers = 1
    bench.tree({f"f{n:03}": "x" for n in range(60)})
    bench.faults.on("put", times=REFUSED_AFTER - 1, error=QUOTA)
    bench.faults.on("put", skip=1, times=REFUSED_AFTER - 1, error=QUOTA)
    report = await bench.sync()
    assert (report.failed, report.cancelled, report.uploaded) == (38, 0, 22)


@pytest.mark.parametrize("error", OF_ONE_FILE, ids=lambda error: error.code)
async def test_refusals_of_single_files_end_nothing(bench: Bench, error: StoreError) -> None:
    bench.tree({f"f{n:03}": "x" for n in range(60)})
    bench.faults.on("put", times=50, error=error)
    report = await bench.sync()
    assert (report.failed, report.cancelled, report.uploaded) == (50, 0, 10)
