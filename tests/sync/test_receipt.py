"""A receipt lists exactly what is in step, as ``sha256sum`` reads it; it is written after success alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from aios3sync.core.entries import RecordedEntry
from aios3sync.errors import AccessDeniedError, TemporarySpaceError, UsageError
from aios3sync.events import Event, PhaseBegan
from aios3sync.objects.receipt import run_with_receipt
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.store.protocol import DeleteItem, ObjectStore, PutOptions
from aios3sync.sync import receipt
from aios3sync.sync.copy_options import check_copy_options
from aios3sync.sync.receipt_list import ReceiptList
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.setup import run_sync
from aios3sync.testing.faulty import unavailable
from tests.sync.conftest import MIB, Bench, Crash, same_size_change

pytestmark = pytest.mark.usefixtures("settle")

ODD = {
    "a\nb": "newline",
    "a\\b": "backslash",
    "a\rb": "return",
    "end\r": "ends in one",
    " lead": "blank first",
    "trail ": "blank last",
    "*star": "star",
    "-dash": "dash",
    "\\front": "backslash first",
    "ä/ö": "not ASCII",
    "d/e": "below",
}


def with_receipts(bench: Bench) -> Bench:
    """Let syncs of the bench write receipts, with objects in its bucket."""

    async def open_store(bucket: str) -> ObjectStore:
        assert bucket == "bucket"
        return bench.faults

    async def run(request: SyncRequest, resources: Resources) -> SyncReport:
        if request.options.receipt is None:
            return await run_sync(request, resources)
        return await run_with_receipt(run_sync, request, resources, open_store)

    bench.runner = run
    return bench


@pytest.fixture
def receipts(bench: Bench) -> Bench:
    """The bench, whose syncs write receipts."""
    return with_receipts(bench)


async def checked(root: Path, place: Path) -> list[str]:
    """Have ``sha256sum`` check a list, and return the files that it names."""

    def check() -> list[str]:
        command = ["sha256sum", "--check", "--strict", str(place)]
        ended = subprocess.run(command, cwd=root, capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, b""), ended.stderr
        return [line.removesuffix(": OK") for line in os.fsdecode(ended.stdout).split("\n")[:-1]]

    return await to_thread.run_sync(check)


def opened_below(root: Path, patch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the path of every file that is opened below a directory from now on."""
    opened: list[str] = []
    real = os.open

    def noting(path: Any, *arguments: Any, **options: Any) -> int:
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if text.startswith(f"{root}/"):
            opened.append(text.removeprefix(f"{root}/"))
        return real(path, *arguments, **options)

    patch.setattr(os, "open", noting)
    return opened


async def test_sha256sum_checks_the_list_whatever_the_names_are(receipts: Bench, tmp_path: Path) -> None:
    receipts.tree({**ODD})
    place = tmp_path / "sums"
    report = await receipts.sync(receipt=str(place))
    assert (report.receipt and report.receipt.files, report.exit_code, report.warnings) == (len(ODD), 0, ())
    assert len(await checked(receipts.root, place)) == len(ODD)
    names = [line.partition(b"  ")[2] for line in place.read_bytes().split(b"\n")]
    assert names[:-1] == [*map(escape, sorted(key.encode() for key in ODD))], "in the order of the keys"


def escape(name: bytes) -> bytes:
    for special, written in ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r")):
        name = name.replace(special, written)
    return name


async def test_names_that_are_no_utf8_are_listed_as_they_are_on_disk(receipts: Bench, tmp_path: Path) -> None:
    odd = os.fsdecode(b"f\xff")
    (receipts.root / odd).write_text("1")
    report = await receipts.sync(receipt=str(tmp_path / "sums"), on_bad_name="escape")
    assert report.uploaded == 1
    assert await checked(receipts.root, tmp_path / "sums") == [odd]


async def test_what_is_sent_is_not_read_a_second_time(
    receipts: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts.tree({"small": "1", "large": os.urandom(11 * MIB)})
    opened = opened_below(receipts.root, monkeypatch)
    place = tmp_path / "sums"
    await receipts.sync(receipt=str(place), multipart_threshold=5 * MIB, part_size=5 * MIB)
    assert sorted(opened) == ["large", "large", "small"], "the large one to hash and to send it"
    assert await checked(receipts.root, place) == ["large", "small"]


@pytest.mark.parametrize("check", ["auto", "list"])
async def test_an_unchanged_run_opens_no_file(
    receipts: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Any
) -> None:
    receipts.tree({"a": "1", "b": "2", "c": "3"})
    await receipts.sync()
    first, second = tmp_path / "first", tmp_path / "second"
    opened = opened_below(receipts.root, monkeypatch)
    await receipts.sync(receipt=str(first), check=check)
    assert sorted(opened) == ["a", "b", "c"], "sent before, when nobody asked for a receipt"
    opened.clear()
    receipts.tree({"b": "new"})
    report = await receipts.sync(receipt=str(second), check=check)
    assert (report.uploaded, opened) == (1, ["b"])
    opened.clear()
    report = await receipts.sync(receipt=str(second), check=check)
    assert (report.kept, opened) == (3, [])
    assert await checked(receipts.root, second) == ["a", "b", "c"]


async def test_a_run_without_a_receipt_keeps_no_digest(receipts: Bench, tmp_path: Path) -> None:
    receipts.tree({"a": "1"})
    manifest = tmp_path / "m.json"
    await receipts.sync(manifest=str(manifest))
    assert "sha256" not in manifest.read_text()
    await receipts.sync(manifest=str(manifest), receipt=str(tmp_path / "sums"))
    assert hashlib.sha256(b"1").hexdigest() in manifest.read_text()


async def test_a_file_that_was_only_touched_keeps_its_digest(
    receipts: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts.tree({"a": "1"})
    place = tmp_path / "sums"
    await receipts.sync(receipt=str(place))
    os.utime(receipts.root / "a", (1, 1))
    assert (await receipts.sync()).touched == 1
    opened = opened_below(receipts.root, monkeypatch)
    await receipts.sync(receipt=str(place))
    assert opened == []
    assert await checked(receipts.root, place) == ["a"]


async def test_only_what_is_in_step_is_listed(receipts: Bench, tmp_path: Path) -> None:
    receipts.tree({"a": "1", "gone": "2", "hidden": "3", "d/e": "4"})
    await receipts.sync()
    (receipts.root / "gone").unlink()
    (receipts.root / "hidden").write_text("changed and not sent")
    place = tmp_path / "sums"
    await receipts.sync(receipt=str(place), exclude=("hidden",))
    assert "gone" in receipts.objects(), "nothing was to be deleted"
    assert await checked(receipts.root, place) == ["a", "d/e"]


@pytest.mark.parametrize("where", ["file", "object"])
async def test_the_receipt_is_no_data(receipts: Bench, where: str) -> None:
    receipts.tree({"a": "1"})
    file = receipts.root / "SHA256SUMS"
    place = str(file) if where == "file" else "s3://bucket/p/SHA256SUMS"
    mirror: dict[str, Any] = {"delete": "mirror", "check": "list"}
    for _ in range(2):
        report = await receipts.sync(receipt=place, **mirror)
        assert report.exit_code == 0
    report = await receipts.sync(**mirror)
    assert (report.kept, report.deleted, report.planned) == (1, 0, 1), "nor in a run without one"
    assert ("SHA256SUMS" in receipts.objects()) == (where == "object")
    assert file.exists() == (where == "file")


@pytest.mark.parametrize("linked", ["root", "receipt"])
async def test_the_receipt_is_no_data_where_a_link_leads_to_it(
    receipts: Bench, tmp_path: Path, linked: str
) -> None:
    """A later run knows it by its key alone."""
    receipts.tree({"a": "1"})
    real, link = receipts.root, tmp_path / "link"
    link.symlink_to(real)
    receipts.root = link if linked == "root" else real
    place = (real if linked == "root" else link) / "SHA256SUMS"
    assert (await receipts.sync(receipt=str(place))).exit_code == 0
    report = await receipts.sync(check="list")
    assert (report.planned, sorted(receipts.objects()), place.exists()) == (1, ["a"], True)


async def test_who_may_read_the_file_stays_as_it_was(receipts: Bench, tmp_path: Path) -> None:
    receipts.tree({"a": "1"})
    place = tmp_path / "sums"
    place.touch()
    place.chmod(0o640)
    assert (await receipts.sync(receipt=str(place))).exit_code == 0
    assert (place.stat().st_mode & 0o777, bool(place.read_bytes())) == (0o640, True)


async def test_the_requests_of_the_receipt_are_counted_with_their_retries(bench: Bench) -> None:
    async def run(request: SyncRequest, resources: Resources) -> SyncReport:
        return await run_with_receipt(run_sync, request, resources, lambda _: resources.open_store())

    bench.runner = run
    bench.tree({"a": "1"})
    bench.faults.on("put", key="sums", error=unavailable())
    report = await bench.sync(receipt="s3://bucket/sums")
    assert (report.exit_code, report.requests["PutObject"], report.retries) == (0, 3, 1)
    assert sum(report.retry_codes.values()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
async def test_a_full_disk_is_named_where_the_list_is_written() -> None:
    """Not as an unexpected error once the list is read again."""

    def write() -> None:
        with closing(ReceiptList()) as made:
            made.lines.close()
            made.lines = open("/dev/full", "wb")  # noqa: SIM115 - closed with the list
            made.add([b"line"])

    with pytest.raises(TemporarySpaceError, match="No space left"):
        await to_thread.run_sync(write)


async def test_a_receipt_that_is_asked_for_by_name_is_data(receipts: Bench) -> None:
    receipts.tree({"a": "1"})
    await receipts.sync(receipt=str(receipts.root / "SHA256SUMS"))
    report = await receipts.sync(check="list", include=("SHA256SUMS",))
    assert (report.uploaded, sorted(receipts.objects())) == (1, ["SHA256SUMS", "a"])


async def test_an_object_is_the_same_list(receipts: Bench, tmp_path: Path) -> None:
    receipts.tree({"a": "1", "b": "2"})
    await receipts.sync(receipt=str(tmp_path / "sums"))
    report = await receipts.sync(receipt="s3://bucket/p/SHA256SUMS")
    assert report.receipt is not None
    assert (report.receipt.place, report.receipt.files) == ("s3://bucket/p/SHA256SUMS", 2)
    assert receipts.objects()["SHA256SUMS"] == (tmp_path / "sums").read_bytes()
    assert [key for operation, key in receipts.faults.keys if operation == "put"].count("p/SHA256SUMS") == 1


async def test_after_a_failure_the_old_receipt_stays(receipts: Bench, tmp_path: Path) -> None:
    receipts.tree({"a": "1", "b": "2"})
    place = tmp_path / "sums"
    await receipts.sync(receipt=str(place))
    before = place.read_bytes()
    receipts.tree({"b": "other"})
    receipts.faults.on("put", key="p/b", error=unavailable(), times=9)
    report = await receipts.sync(receipt=str(place))
    assert (report.failed, report.exit_code) == (1, 3)
    assert report.receipt is not None
    assert "failed 1" in report.receipt.error
    assert report.warnings == (f"no receipt was written to {place}: {report.receipt.error}",)
    assert place.read_bytes() == before


async def test_a_conflict_is_no_success(receipts: Bench, tmp_path: Path) -> None:
    receipts.tree({"a": "1234"})
    await receipts.sync()
    before = (receipts.root / "a").stat()
    same_size_change(receipts.root / "a")
    # What changes bytes and no stat is found by this check alone.
    report = await receipts.sync(
        receipt=str(tmp_path / "sums"), check="content", stat_fields=("size", "mtime")
    )
    assert before.st_mtime_ns == (receipts.root / "a").stat().st_mtime_ns
    assert (report.conflicts, report.exit_code) == (1, 3)
    assert not (tmp_path / "sums").exists()


async def test_a_file_that_changes_before_it_is_hashed_is_not_listed(
    receipts: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts.tree({"a": "1234", "b": "1"})
    await receipts.sync()

    def change(run: Any, row: RecordedEntry, *arguments: Any) -> str:
        if row.key == "a":
            same_size_change(receipts.root / "a")
        return hashed(run, row, *arguments)

    hashed = receipt._sha256
    monkeypatch.setattr(receipt, "_sha256", change)
    # Of its stat nothing is different: the digest that is recorded is that of other bytes.
    report = await receipts.sync(receipt=str(tmp_path / "sums"), stat_fields=("size", "mtime"))
    assert report.receipt is not None
    assert (report.receipt.error, report.exit_code) == ("a was changed meanwhile", 3)
    assert not (tmp_path / "sums").exists()


async def test_a_large_file_is_compared_by_the_digests_of_its_parts(receipts: Bench, tmp_path: Path) -> None:
    """Its row has no other digest of what was stored."""
    content, place = os.urandom(11 * MIB), tmp_path / "sums"
    options: dict[str, Any] = {"multipart_threshold": 5 * MIB, "part_size": 5 * MIB, "md5chksum": False}
    options["stat_fields"] = ("size", "mtime")
    receipts.tree({"big": content})
    await receipts.sync(**options)
    before = (receipts.root / "big").stat().st_mtime_ns
    same_size_change(receipts.root / "big")
    report = await receipts.sync(receipt=str(place), **options)
    assert report.receipt is not None
    assert report.receipt.error == "big was changed meanwhile"
    (receipts.root / "big").write_bytes(content)
    os.utime(receipts.root / "big", ns=(before, before))
    report = await receipts.sync(receipt=str(place), **options)
    assert (report.exit_code, report.uploaded) == (0, 0)
    assert await checked(receipts.root, place) == ["big"]


async def test_a_stop_while_files_are_hashed_writes_none(receipts: Bench, tmp_path: Path) -> None:
    receipts.tree({"a": "1234"})
    await receipts.sync()

    def stop(event: Event) -> None:
        if isinstance(event, PhaseBegan) and event.phase == "finish":
            receipts.stop.request()

    receipts.on_event = stop
    report = await receipts.sync(receipt=str(tmp_path / "sums"))
    assert report.receipt is not None
    assert (report.receipt.error, report.exit_code) == ("the run was stopped", 130)
    assert not (tmp_path / "sums").exists()


async def test_a_death_before_the_end_leaves_the_old_receipt(
    receipts: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts.tree({"a": "1"})
    place = receipts.root / "sums"
    await receipts.sync(receipt=str(place))
    before = place.read_bytes()
    receipts.tree({"b": "2"})

    def die(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", die)
        patch.setattr(os, "unlink", lambda *_: None)
        with pytest.raises(Crash):
            await receipts.sync(receipt=str(place), manifest=False)
    assert place.read_bytes() == before
    assert len(list(receipts.root.glob("sums.tmp-*"))) == 1
    report = await receipts.sync(check="list")
    assert sorted(receipts.objects()) == ["a", "b"], "what it has left is no data"
    assert report.exit_code == 0


async def test_a_receipt_that_cannot_be_stored_fails_the_run(receipts: Bench) -> None:
    receipts.tree({"a": "1"})
    receipts.faults.on("put", key="sums", error=AccessDeniedError("no", status=403), times=9)
    report = await receipts.sync(receipt="s3://bucket/sums")
    assert (report.uploaded, report.exit_code) == (1, 3)
    assert report.receipt is not None
    assert report.receipt.error


async def test_a_dry_run_writes_none(receipts: Bench, tmp_path: Path) -> None:
    receipts.tree({"a": "1"})
    report = await receipts.sync(receipt=str(tmp_path / "sums"), dry_run=True)
    assert (report.receipt, report.exit_code, (tmp_path / "sums").exists()) == (None, 0, False)


@pytest.mark.parametrize("content", ["# a text\n", "something else", "\nempty line first"])
async def test_nothing_else_is_replaced(receipts: Bench, tmp_path: Path, content: str) -> None:
    receipts.tree({"a": "1"})
    (tmp_path / "other").write_text(content)
    digest = hashlib.md5(content.encode(), usedforsecurity=False).digest()
    await receipts.memory.put("other", content.encode(), PutOptions(), md5=digest)
    for place in (str(tmp_path / "other"), "s3://bucket/other"):
        with pytest.raises(UsageError, match="is no list of sha256sum; name another place"):
            await receipts.sync(receipt=place)
    assert receipts.objects() == {"other": content.encode()}
    assert (tmp_path / "other").read_text() == content


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        (lambda path: str(path / "missing" / "sums"), "there is no directory"),
        (str, "is no regular file"),
        (lambda _: "s3://bucket", "names no object"),
    ],
)
async def test_a_place_that_cannot_be_is_refused_before_the_run(
    receipts: Bench, tmp_path: Path, place: Callable[[Path], str], problem: str
) -> None:
    receipts.tree({"a": "1"})
    with pytest.raises(UsageError, match=problem):
        await receipts.sync(receipt=place(tmp_path))
    assert not receipts.objects()


def test_a_copy_has_no_receipt() -> None:
    with pytest.raises(UsageError, match="the bytes of a copy do not pass by here"):
        check_copy_options(SyncOptions(receipt="sums"))


async def test_compressed_files_are_listed_as_they_are_here(receipts: Bench, tmp_path: Path) -> None:
    receipts.tree({"a.txt": "1" * 1000, "large.txt": os.urandom(6 * MIB)})
    large: dict[str, Any] = {"multipart_threshold": 5 * MIB, "gzip": ("txt",)}
    report = await receipts.sync(receipt=str(tmp_path / "sums"), **large)
    assert report.uploaded == 2
    assert await checked(receipts.root, tmp_path / "sums") == ["a.txt", "large.txt"]


# Downloads


async def test_what_was_fetched_is_listed(
    receipts: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts.tree({"d/parts": os.urandom(22 * MIB)})
    await receipts.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    (receipts.root / "d" / "parts").unlink()
    await receipts.store({"a": b"1", "d/b": os.urandom(20 * MIB), "marker/": b""})
    monkeypatch.setattr(receipt, "_sha256", pytest.fail)
    place = tmp_path / "sums"
    report = await receipts.download(receipt=str(place))
    assert (report.downloaded, report.exit_code) == (3, 0)
    assert await checked(receipts.root, place) == ["a", "d/b", "d/parts"]


async def test_a_file_whose_object_is_gone_is_not_listed(receipts: Bench, tmp_path: Path) -> None:
    await receipts.store({"a": b"1", "b": b"2"})
    await receipts.download()
    await receipts.memory.delete_many([DeleteItem("p/b")])
    (receipts.root / "mine").write_text("3")
    place = tmp_path / "sums"
    await receipts.download(receipt=str(place))
    assert await checked(receipts.root, place) == ["a"]


async def test_a_receipt_in_the_target_survives_a_mirror(receipts: Bench) -> None:
    await receipts.store({"a": b"1"})
    place = receipts.root / "SHA256SUMS"
    for options in ({"receipt": str(place)}, {"receipt": str(place)}, {}):
        report = await receipts.download(delete="mirror", **options)
        assert (report.deleted, report.exit_code) == (0, 0)
        assert await checked(receipts.root, place) == ["a"]


async def test_archived_objects_are_not_in_step(receipts: Bench, tmp_path: Path) -> None:
    await receipts.store({"a": b"1"})
    await receipts.store({"cold": b"2"}, storage_class="GLACIER")
    report = await receipts.download(receipt=str(tmp_path / "sums"))
    assert (report.archived, report.exit_code) == (1, 3)
    assert report.receipt is not None
    assert "archived 1" in report.receipt.error
