"""What an observer is told, over both transports, and by whom: requests, retries, listings, runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from aios3sync import BucketNotFoundError
from aios3sync.observers import ObservedListing, ObservedRequest, ObservedRun, Observer, RetryDetails
from aios3sync.store.observer import RESENDS
from aios3sync.testing.http_server import error_body

if TYPE_CHECKING:
    from tests.observers.conftest import OpenScene


class Notes(Observer):
    """Writes down all that it is told."""

    def __init__(self) -> None:
        self.requests: list[ObservedRequest] = []
        self.retries: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.ended: list[Any] = []

    def request(self, request: ObservedRequest, /) -> None:
        assert request.seconds > 0
        self.requests.append(request._replace(seconds=0.0))

    def retry(self, retry: RetryDetails, /) -> None:
        self.retries.append((retry.error.operation, retry.error.code))

    @contextmanager
    def listing(self, listing: ObservedListing, /) -> Iterator[None]:
        with self._entered("listing", listing):
            yield

    @contextmanager
    def run(self, run: ObservedRun, /) -> Iterator[None]:
        with self._entered(run.command, run):
            yield

    @contextmanager
    def _entered(self, name: str, what: Any) -> Iterator[None]:
        self.open.append(name)
        try:
            yield
        except BaseException as error:
            self.ended.append(type(error))
            raise
        finally:
            assert self.open.pop() == name
            self.ended.append(what)


@pytest.mark.parametrize("lane", ["wire", "boto"])
async def test_each_attempt_is_a_request(scene: OpenScene, lane: str) -> None:
    notes = Notes()
    async with scene([notes], lane=lane) as s:
        s.with_faults()
        s.server.will(200, b"half", {"Content-Length": "100"}, close=True)
        report = await s.sync()
        tree = str(s.tree)
    listed, put = ("ListObjectsV2", "bkt", ""), ("PutObject", "bkt", "p/a.txt")
    assert notes.requests == [
        ObservedRequest(*listed, 503, "", 0.0),
        ObservedRequest(*listed, 200, "", 0.0, 1),
        ObservedRequest(*put, 500, "", 0.0),
        ObservedRequest(*put, 0, "ConnectionLost", 0.0, 1),
        ObservedRequest(*put, 200, "", 0.0, 2),
    ]
    retried = [("ListObjectsV2", "SlowDown"), ("PutObject", "InternalError"), ("PutObject", "ConnectionLost")]
    assert notes.retries == retried
    assert notes.ended == [
        ObservedListing("bkt", "p/", 1, 0),
        ObservedRun("sync", tree, "s3://bkt/p", report),
    ]
    assert RESENDS.get() == 0


async def test_requests_of_processes_are_told(scene: OpenScene) -> None:
    notes = Notes()
    async with scene([notes], processes=1) as s:
        for number in range(300):
            (s.tree / f"f{number:03}").write_text("x")
        report = await s.sync()
        puts = [request for request in s.server.requests if request.method == "PUT"]
    assert report.uploaded == len(puts) == 301
    told = [request for request in notes.requests if request.operation == "PutObject"]
    assert {request.key for request in told} == {f"p/f{number:03}" for number in range(300)} | {"p/a.txt"}
    assert len(told) == report.requests["PutObject"]
    assert {(request.bucket, request.status, request.cause) for request in told} == {("bkt", 200, "")}


async def test_a_run_that_fails_is_told_with_its_error(scene: OpenScene) -> None:
    notes, others = Notes(), Notes()
    async with scene([notes, others]) as s:
        s.server.will(404, error_body("NoSuchBucket"))
        with pytest.raises(BucketNotFoundError):
            await s.sync()
    for each in (notes, others):
        kinds = [what if isinstance(what, type) else type(what) for what in each.ended]
        assert kinds[-2:] == [BucketNotFoundError, ObservedRun]
        assert each.ended[-1].report is None
        assert [request.status for request in each.requests] == [404]


async def test_a_session_without_observers_tells_nobody(scene: OpenScene) -> None:
    async with scene([]) as s:
        assert (await s.sync()).uploaded == 1
        assert s.session._stores.observer is None
