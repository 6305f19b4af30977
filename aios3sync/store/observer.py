"""Observer: receives the requests, listings and runs of a session, for metrics and traces. No I/O.

Without observers this costs nothing but the check of one attribute at each place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from aios3sync._dataclass import dataclass
from aios3sync._namedtuple import NamedTuple

if TYPE_CHECKING:
    from aios3sync.store.protocol import ObjectStore
    from aios3sync.store.wrappers.metrics import RetryDetails

__all__ = (
    "RESENDS",
    "ObservedListing",
    "ObservedRequest",
    "ObservedRun",
    "Observer",
    "joined",
    "observer_of",
)

RESENDS: Final[ContextVar[int]] = ContextVar("aios3sync_resends", default=0)
"""How often the request that is about to be sent was sent before."""


class ObservedRequest(NamedTuple):
    """One request that has ended: each attempt is one.

    Attributes:
        operation: the S3 operation, e.g. ``PutObject``.
        bucket: a name, an access-point alias or an ARN.
        key: of the object; empty where the request is not about a single object.
        status: of the response, 0 where there was none.
        cause: why there was none: ``NoConnection``, ``ConnectionLost``, ``Timeout``, ``Cancelled`` …; else
            empty.
        seconds: from the request to the end of its response; through botocore without the reading of a body.
        resends: how often the same request was sent before.
    """

    operation: str
    bucket: str
    key: str
    status: int
    cause: str
    seconds: float
    resends: int = 0


@dataclass(slots=True)
class ObservedListing:
    """One listing of everything below a prefix; ``pages`` and ``objects`` are the counts so far."""

    bucket: str
    prefix: str
    pages: int = 0
    objects: int = 0


@dataclass(slots=True)
class ObservedRun:
    """One run.

    Attributes:
        command: ``sync``, ``plan``, ``apply`` or ``verify``.
        source, target: as the caller named them.
        report: a ``SyncReport`` or a ``VerifyReport``, once the run has ended without an error.
    """

    command: str
    source: str
    target: str
    report: Any = None


class Observer:
    """Base class of observers, which does nothing: override what you need.

    Its methods are called on the event loop, in the task that does the work, so that the context variables of
    :meth:`run` are seen by :meth:`listing` and :meth:`request`. They must return at once and raise nothing.
    """

    def request(self, request: ObservedRequest, /) -> None:
        """Take one request that has ended."""

    def retry(self, retry: RetryDetails, /) -> None:
        """Take one failed request that will be sent again."""

    def listing(self, listing: ObservedListing, /) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context manager that is entered while a listing is read; it sees the errors inside."""
        return nullcontext()

    def run(self, run: ObservedRun, /) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context manager that is entered while a run lasts; it sees the errors inside."""
        return nullcontext()


class _Observers(Observer):
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def request(self, request: ObservedRequest, /) -> None:
        for observer in self._observers:
            observer.request(request)

    def retry(self, retry: RetryDetails, /) -> None:
        for observer in self._observers:
            observer.retry(retry)

    @contextmanager
    def listing(self, listing: ObservedListing, /) -> Iterator[None]:
        with ExitStack() as entered:
            for observer in self._observers:
                entered.enter_context(observer.listing(listing))
            yield

    @contextmanager
    def run(self, run: ObservedRun, /) -> Iterator[None]:
        with ExitStack() as entered:
            for observer in self._observers:
                entered.enter_context(observer.run(run))
            yield


def joined(observers: Sequence[Observer]) -> Observer | None:
    """Return one observer that calls all of them; ``None`` for none."""
    if not observers:
        return None
    return observers[0] if len(observers) == 1 else _Observers(observers)


def observer_of(store: ObjectStore) -> Observer | None:
    """Return the observer of the session that a store belongs to, through all its wrappers."""
    inner: Any = store
    while (found := getattr(inner, "observer", None)) is None:
        inner = getattr(inner, "inner", None)
        if inner is None:
            return None
    observer: Observer = found
    return observer
