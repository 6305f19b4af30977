"""The doctor: what differs is found, named and noted for a sync, and nothing that it writes stays."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aios3sync.errors import AccessDeniedError, BucketNotFoundError, StoreError
from aios3sync.events import Event, Warned
from aios3sync.objects.doctor.report import DoctorReport, Finding
from aios3sync.objects.doctor.run import run_probes
from aios3sync.objects.doctor.scratch import Scratch, md5_digest
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import (
    CopySource,
    DeleteError,
    DeleteItem,
    HeadResult,
    ListedUpload,
    ListPage,
    ObjectStore,
    PutOptions,
    PutResult,
)
from aios3sync.store.wrappers.base import ForwardingStore
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore
from aios3sync.testing.versions import VersionHistory

pytestmark = pytest.mark.timeout(60)

DENIED = AccessDeniedError("access denied", code="AccessDenied", status=403)
UNKNOWN = StoreError("not implemented", code="NotImplemented", status=501)


async def examined(
    store: ObjectStore,
    profile: EndpointProfile | None = None,
    *,
    read_only: bool = False,
    events: list[Event] | None = None,
) -> DoctorReport:
    scratch = Scratch(store, store, profile or EndpointProfile("here"), "data/")
    on_event: Callable[[Event], None] = (events if events is not None else []).append
    return await run_probes(scratch, "s3://bucket/data/", "here", {}, on_event, read_only=read_only)


def finding(report: DoctorReport, probe: str) -> Finding:
    (found,) = (each for each in report.findings if each.probe == probe)
    return found


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore(objects={"data/a": b"1", "other": b"2"})


async def test_an_endpoint_as_documented(memory: MemoryStore) -> None:
    profile = EndpointProfile("here")
    report = await examined(memory, profile)
    assert [each for each in report.findings if each.status != "ok"] == []
    assert (report.exit_code, report.left, report.known) == (0, (), ())
    assert profile.etags == "md5"
    assert memory.bodies() == {"data/a": b"1", "other": b"2"}
    assert await memory.list_multiparts("") == []


# What differs


async def test_a_listing_without_end_is_a_finding_and_its_keys_are_removed(memory: MemoryStore) -> None:
    with anyio.fail_after(30):
        report = await examined(Changed(memory, "endless"))
    found = finding(report, "listing")
    assert (found.status, "the same continuation token came twice" in found.found) == ("failed", True)
    assert report.exit_code == 3
    assert memory.bodies() == {"data/a": b"1", "other": b"2"}


class Changed(ForwardingStore):
    """An endpoint that differs in one thing, which a test says."""

    def __init__(self, inner: ObjectStore, *differences: str) -> None:
        super().__init__(inner)
        self.differences = differences

    def _key(self, key: str) -> str:
        return unicodedata.normalize("NFC", key) if "nfc" in self.differences else key

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        if "line end" in self.differences and "\n" in key:
            raise StoreError("no such key", code="InvalidArgument", status=400)
        if "directories" in self.differences and "/a/" in key.partition("/o")[2]:
            raise StoreError("internal", code="InternalError", status=400)
        if "no integrity" in self.differences:
            md5 = md5_digest(body)
        if "no conditions" in self.differences:
            options = replace(options, if_match="", if_none_match=False)
        if "no headers" in self.differences:
            options = replace(
                options, cache_control="", metadata={} if options.cache_control else options.metadata
            )
        return await self.inner.put(self._key(key), body, options, md5=md5)

    async def head(self, key: str, *, version_id: str = "", checksums: bool = False) -> HeadResult:
        head = await self.inner.head(key, checksums=checksums)
        if "no checksum" in self.differences:
            head = head._replace(checksum=None)
        if "etag of parts" in self.differences and "-" in head.etag:
            head = head._replace(etag=f"{'0' * 32}-2")
        return head

    async def list_page(self, prefix: str, **paging: Any) -> ListPage:
        if "no start" in self.differences:
            paging["start_after"] = ""
        if "endless" in self.differences:
            await anyio.lowlevel.checkpoint()
            return (await self.inner.list_page(prefix))._replace(next_token="again")
        page = await self.inner.list_page(prefix, **paging)
        if "incomplete" in self.differences:
            page = page._replace(entries=[entry for entry in page.entries if not entry.key.endswith("o/b")])
        return page

    async def delete_one(self, item: DeleteItem) -> None:
        await self.inner.delete_one(DeleteItem(item.key) if "no conditions" in self.differences else item)

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        if "half a batch" in self.differences:
            return await self.inner.delete_many(items[1:])
        return await self.inner.delete_many(items)

    async def copy(
        self,
        source: CopySource,
        key: str,
        options: PutOptions | None = None,
        *,
        keep_metadata: bool = False,
    ) -> PutResult:
        if "bare copy" in self.differences:
            return await self.inner.copy(source, key, PutOptions())
        if "stubborn copy" in self.differences:
            return await self.inner.copy(source, key, options, keep_metadata=True)
        return await self.inner.copy(source, key, options, keep_metadata=keep_metadata)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        if "no abort" not in self.differences:
            await self.inner.abort_multipart(key, upload_id)

    async def list_multiparts(self, prefix: str) -> list[ListedUpload]:
        return [] if "no uploads" in self.differences else await self.inner.list_multiparts(prefix)

    async def list_parts(self, key: str, upload_id: str) -> list[Any]:
        parts = await self.inner.list_parts(key, upload_id)
        return parts[:1] if "one part" in self.differences else parts


@pytest.mark.parametrize(
    ("difference", "probe", "status", "text"),
    [
        ("no integrity", "integrity", "differs", "does not fit its Content-MD5 is stored"),
        ("no conditions", "conditions", "differs", "not honoured: If-None-Match: *, If-Match"),
        ("no conditions", "conditional delete", "differs", "ignores its If-Match"),
        ("no headers", "headers", "differs", "not kept: cache-control, metadata 'mtime'"),
        ("no checksum", "checksum", "differs", "not returned"),
        ("etag of parts", "multipart", "differs", "not made of MD5s"),
        ("one part", "multipart", "differs", "ListParts does not show"),
        ("no start", "start after", "differs", "has 9 keys, not 5"),
        ("incomplete", "listing", "failed", "leaves out 1 key of 9"),
        ("half a batch", "batch delete", "failed", "leaves 1 key of 2"),
        ("bare copy", "copy", "differs", "not the same object"),
        ("stubborn copy", "copy onto itself", "differs", "does not replace"),
        ("no abort", "abort", "differs", "still there after its abort"),
        ("no uploads", "abort", "differs", "cannot be listed"),
        ("nfc", "keys", "differs", "a decomposed letter (NFD)"),
        ("line end", "newline in keys", "differs", "refused (InvalidArgument)"),
        ("directories", "keys below a key", "differs", "refused (InternalError)"),
    ],
)
async def test_a_difference_is_found_and_named(
    memory: MemoryStore, difference: str, probe: str, status: str, text: str
) -> None:
    report = await examined(Changed(memory, difference))
    found = finding(report, probe)
    assert (found.status, report.exit_code) == (status, 3)
    assert text in found.found
    assert found.meaning
    wrong = {each.probe for each in report.findings if each.status != "ok"}
    assert wrong <= {probe, "conditions", "conditional delete"}, "one difference is one finding"
    assert memory.bodies() == {"data/a": b"1", "other": b"2"}


async def test_an_order_of_directories_is_known_to_syncs() -> None:
    profile = EndpointProfile("here")
    report = await examined(MemoryStore(order=lambda key: key.split("/")), profile)
    assert finding(report, "list order").status == "differs"
    assert profile.list_order == "unordered"
    assert report.known == ("listings in no order of keys",)
    given = EndpointProfile("here")
    given.record("list_order", "bytes", given=True)
    report = await examined(MemoryStore(order=lambda key: key.split("/")), given)
    assert "you said --list-order bytes" in finding(report, "list order").found
    assert given.list_order == "bytes"


async def test_larger_pages_than_asked_for() -> None:
    report = await examined(MemoryStore(page_size=lambda asked: max(asked, 4)))
    assert finding(report, "pages").found == "a page of 2 keys had 4"


async def test_etags_that_are_no_md5s_are_known_to_syncs(memory: MemoryStore) -> None:
    for etag in ("opaque-etag", "0" * 32):
        store = FaultyStore(memory)
        store.etag("put", etag, times=-1)
        profile = EndpointProfile("here")
        report = await examined(store, profile)
        assert finding(report, "etag").status == "differs"
        assert (profile.etags, report.known) == ("opaque", ("its ETags prove nothing",))
        given = EndpointProfile("here")
        given.record("etags", "md5", given=True)
        report = await examined(store, given)
        assert (given.etags, given.certain_md5) == ("md5", True)
        assert "you said --etags md5" in finding(report, "etag").found


async def test_encrypted_objects_say_nothing_of_etags() -> None:
    profile = EndpointProfile("here")
    report = await examined(MemoryStore(default_encryption="aws:kms"), profile)
    assert "aws:kms" in finding(report, "etag").found
    assert (profile.etags, report.exit_code) == ("unknown", 0)


async def test_an_endpoint_without_delete_objects_is_known_to_syncs(memory: MemoryStore) -> None:
    store = FaultyStore(memory)
    store.on("delete_many", error=UNKNOWN, times=-1)
    profile = EndpointProfile("here")
    report = await examined(store, profile)
    assert finding(report, "batch delete").status == "differs"
    assert not profile.batch_delete
    assert (await examined(memory, profile)).exit_code == 0
    assert profile.batch_delete, "an endpoint that was mended is known as such"


@pytest.mark.parametrize(("ahead", "words"), [(3600, "ahead of"), (-3600, "late against")])
async def test_a_wrong_clock(ahead: float, words: str) -> None:
    report = await examined(MemoryStore(clock=lambda: int(time.time() + ahead)))
    found = finding(report, "clock")
    assert found.status == "differs"
    assert words in found.found
    near = await examined(MemoryStore(clock=lambda: int(time.time())))
    assert finding(near, "clock").found == "the endpoint's clock is the same as here"


# Rights


async def test_a_policy_that_lets_read_alone(memory: MemoryStore) -> None:
    store = FaultyStore(memory)
    for verb in ("put", "delete_one", "delete_many", "create_multipart", "copy"):
        store.on(verb, error=DENIED, times=-1)
    report = await examined(store)
    refused = finding(report, "objects")
    assert (refused.status, report.exit_code) == ("refused", 1)
    assert refused.advice == "allow s3:PutObject, s3:GetObject and s3:DeleteObject"
    assert {finding(report, name).status for name in ("etag", "multipart", "speed")} == {"skipped"}
    assert finding(report, "versioning").status == "ok"
    store.keys.clear()
    report = await examined(store, read_only=True)
    assert report.exit_code == 0
    assert {verb for verb, _ in store.keys} == {"list_page", "head", "versioning"}


async def test_one_right_that_lacks_is_one_finding(memory: MemoryStore) -> None:
    store = FaultyStore(memory)
    store.on("versioning", error=DENIED, times=-1)
    report = await examined(store)
    found = finding(report, "versioning")
    assert (found.status, found.advice) == ("refused", "allow s3:GetBucketVersioning")
    assert report.exit_code == 3


async def test_wrong_credentials_are_no_matter_of_policy(memory: MemoryStore) -> None:
    store = FaultyStore(memory)
    wrong = AccessDeniedError("the secret key does not fit", code="SignatureDoesNotMatch")
    store.on("list_page", error=wrong, times=-1)
    found = finding(await examined(store), "bucket")
    assert (found.status, found.advice) == ("refused", "")


async def test_a_bucket_that_is_not_there(memory: MemoryStore) -> None:
    store = FaultyStore(memory)
    store.on("list_page", error=BucketNotFoundError("no such bucket"), times=-1)
    report = await examined(store)
    assert [(each.probe, each.status) for each in report.findings] == [("bucket", "failed")]
    assert (report.exit_code, report.findings[0].found) == (1, "no such bucket")
    assert store.calls == {"list_page": 1}


async def test_a_read_only_run_looks_at_what_is_there() -> None:
    keys = ("data/a", "data/a!b", "data/a/x", "data/a0", "data/b")
    store = MemoryStore(objects=dict.fromkeys(keys, b""), order=lambda key: key.split("/"))
    report = await examined(store, read_only=True)
    assert finding(report, "list order").status == "differs"
    report = await examined(
        Changed(MemoryStore(objects=dict.fromkeys(keys, b"")), "no start"), read_only=True
    )
    assert finding(report, "list order").status == "ok"
    assert finding(report, "start after").status == "differs"


# What is removed


async def test_what_was_written_is_removed_after_a_failure(memory: MemoryStore) -> None:
    store = FaultyStore(memory)
    store.on("copy", error=RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        await examined(store)
    assert memory.bodies() == {"data/a": b"1", "other": b"2"}


@pytest.mark.parametrize("verb", ["copy", "put_part", "complete_multipart", "head"])
async def test_what_was_written_is_removed_after_a_cancellation(memory: MemoryStore, verb: str) -> None:
    store, reached, events = FaultyStore(memory), anyio.Event(), list[Event]()
    store.on(verb, wait=anyio.Event(), reached=reached)
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await examined(store, events=events)

        tasks.start_soon(run)
        await reached.wait()
        assert len(memory.objects) > 2
        tasks.cancel_scope.cancel()
    assert memory.bodies() == {"data/a": b"1", "other": b"2"}
    assert (await memory.list_multiparts(""), events) == ([], [])


async def test_what_cannot_be_removed_is_named(memory: MemoryStore) -> None:
    store = FaultyStore(memory)
    store.on("delete_one", error=DENIED, times=-1)
    report = await examined(store)
    assert (report.exit_code, finding(report, "objects").status) == (1, "refused")
    (left,) = report.left
    assert "/verbs: not removed (access denied); remove it yourself" in left
    assert [key for key in memory.objects if "doctor-" in key] == [left.partition(": ")[0]]


async def test_what_a_cancelled_run_leaves_is_an_event(memory: MemoryStore) -> None:
    store, reached, events = FaultyStore(memory), anyio.Event(), list[Event]()
    store.on("copy", wait=anyio.Event(), reached=reached)
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await examined(store, events=events)

        tasks.start_soon(run)
        await reached.wait()
        store.on("delete_one", error=DENIED, times=-1)
        tasks.cancel_scope.cancel()
    left = [key for key in memory.objects if "doctor-" in key]
    assert left
    messages = [event.message for event in events if isinstance(event, Warned)]
    assert [message.partition(": ")[0] for message in messages] == sorted(left)


async def test_versions_that_stay_are_named(memory: MemoryStore) -> None:
    memory.history = VersionHistory()
    report = await examined(memory)
    assert finding(report, "versioning").found == "versions are kept"
    assert finding(report, "removal").found.endswith("the bucket keeps their versions")
    assert (report.exit_code, report.left) == (0, ())
    assert sorted(memory.objects) == ["data/a", "other"]


def test_a_report_is_a_document() -> None:
    found = Finding("etag", "differs", "no MD5", "nothing is proved", "keep digests")
    document = DoctorReport("s3://b/", "aws", (found,), (), (), {"PutObject": 1}).as_dict()
    assert document["exit_code"] == 3
    assert document["findings"] == [{**found._asdict(), "figures": {}}]
    assert found.as_text() == "etag: no MD5; nothing is proved; keep digests"
