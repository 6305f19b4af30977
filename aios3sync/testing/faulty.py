"""FaultyStore: a store whose requests fail as a test says; for tests only.

::

    store = FaultyStore(MemoryStore())
    store.on("put", key="x", times=2, error=unavailable())  # fails twice, nothing is stored
    store.on("put", key="y", late=unavailable())            # stores, and then the response is lost
    store.on("head", wait=event)                            # responds when the event is set
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import anyio

from aios3sync._dataclass import dataclass
from aios3sync.errors import StoreError, ThrottledError, UnavailableError
from aios3sync.store.protocol import DeleteError, DeleteItem, ObjectStore, RangeRead
from aios3sync.store.s3.objects import get_into
from aios3sync.store.wrappers.base import ForwardingStore, StoreCall

__all__ = ("Fault", "FaultyStore", "throttled", "unavailable")

T = TypeVar("T")

_OPERATIONS: Final = {
    "put": "PutObject",
    "get": "GetObject",
    "head": "HeadObject",
    "list_page": "ListObjectsV2",
    "delete_many": "DeleteObjects",
    "delete_one": "DeleteObject",
    "copy": "CopyObject",
    "acl": "GetObjectAcl",
    "tags": "GetObjectTagging",
    "restore": "RestoreObject",
    "create_multipart": "CreateMultipartUpload",
    "put_part": "UploadPart",
    "copy_part": "UploadPartCopy",
    "complete_multipart": "CompleteMultipartUpload",
    "abort_multipart": "AbortMultipartUpload",
    "list_parts": "ListParts",
    "list_multiparts": "ListMultipartUploads",
    "versioning": "GetBucketVersioning",
    "list_versions_page": "ListObjectVersions",
}


def unavailable(code: str = "InternalError") -> UnavailableError:
    """Return the error for a 500 or a lost connection."""
    return UnavailableError("the endpoint is not available", code=code, status=500)


def throttled(retry_after: float | None = None) -> ThrottledError:
    """Return the error for a SlowDown."""
    return ThrottledError("slow down", code="SlowDown", status=503, retry_after=retry_after)


@dataclass(slots=True)
class Fault:
    """One fault, for the next ``times`` matching requests.

    Attributes:
        operation: a method of the store, e.g. ``"put"``.
        key: only requests for this key (or prefix, of listings); ``None`` means all.
        skip: how many matching requests succeed first.
        times: how many fail then, -1 for all.
        error: raised instead of the request.
        late: raised after the request was carried out: a lost response.
        change: returns another result in the place of the real one.
        delay: seconds to wait before the request.
        wait: an event to wait for before the request; one that is never set hangs.
        reached: set as soon as a request matches this fault.
        delete_errors: returned by DeleteObjects for these keys, whose objects then stay.
    """

    operation: str
    key: str | None = None
    skip: int = 0
    times: int = 1
    error: BaseException | None = None
    late: BaseException | None = None
    change: Callable[[Any], Any] | None = None
    delay: float = 0.0
    wait: anyio.Event | None = None
    reached: anyio.Event | None = None
    delete_errors: Sequence[DeleteError] = ()

    def matches(self, operation: str, key: str | None) -> bool:
        """Return whether this request fails, and count it."""
        if self.operation != operation or (self.key is not None and self.key != key):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times == 0:
            return False
        self.times -= 1
        return True


class FaultyStore(ForwardingStore):
    """Forwards requests to ``inner``, except for the faults that a test asked for.

    Attributes:
        calls: how many requests of each method were made, the failed ones too.
        keys: operation and key of every request, in order.
    """

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()
        self.keys: list[tuple[str, str | None]] = []
        self._faults: list[Fault] = []

    def on(self, operation: str, **facts: Any) -> Fault:
        """Add a fault, by the arguments of :class:`Fault`; of several that match, the first one applies."""
        if operation not in _OPERATIONS:
            raise ValueError(f"{operation!r} is not a method of the store: {', '.join(_OPERATIONS)}")
        fault = Fault(operation, **facts)
        self._faults.append(fault)
        return fault

    def etag(self, operation: str, etag: str, **facts: Any) -> Fault:
        """Return another ETag than the real one."""
        return self.on(operation, change=lambda result: result._replace(etag=etag), **facts)

    async def call(self, request: StoreCall[T]) -> T:
        """Forward the request, or let it fail."""
        verb = next(verb for verb, name in _OPERATIONS.items() if name == request.operation)
        self.calls[verb] += 1
        self.keys.append((verb, request.key))
        fault = next((each for each in self._faults if each.matches(verb, request.key)), None)
        if fault is None:
            return await request.send()
        await _before_request(fault)
        result = await request.send()
        if fault.late is not None:
            raise _copy_of(fault.late)
        changed: T = result if fault.change is None else fault.change(result)
        return changed

    async def read_into(
        self, key: str, buffer: memoryview, *, start: int = 0, if_match: str = "", version_id: str = ""
    ) -> RangeRead:
        """Read with :meth:`get`, so that the faults of that apply."""
        return await get_into(self, key, buffer, start, if_match, version_id)

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Delete all keys but those for which a fault returns an error."""
        failing: dict[str, DeleteError] = {}
        for fault in self._faults:
            if fault.delete_errors and fault.matches("delete_many", None):
                failing |= {error.key: error for error in fault.delete_errors}
        rest = [item for item in items if item.key not in failing]
        errors = await super().delete_many(rest) if rest or not items else []
        return errors + [failing[item.key] for item in items if item.key in failing]


async def _before_request(fault: Fault) -> None:
    if fault.reached is not None:
        fault.reached.set()
    if fault.delay:
        await anyio.sleep(fault.delay)
    if fault.wait is not None:
        await fault.wait.wait()
    if fault.error is not None:
        raise _copy_of(fault.error)


def _copy_of(error: BaseException) -> BaseException:
    """Return a copy of the exception: one that is raised twice would collect tracebacks."""
    if not isinstance(error, StoreError):
        return error
    kind, arguments = error.__reduce__()
    copied: BaseException = kind(*arguments)
    return copied
