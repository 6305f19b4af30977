"""The program of an upload process: reads, signs and sends the files of its jobs; it never retries.

One thread waits for all connections at once, others only open them. Results go back in batches.
"""

from __future__ import annotations

import gc
import hashlib
import os
import select
import ssl
import threading
import time
from base64 import b64encode
from collections import deque
from typing import Any, Final, NamedTuple

from aios3sync.core.etag import rclone_mtime
from aios3sync.core.media_types import is_utf8
from aios3sync.local.read import read_same
from aios3sync.processes.connection import (
    ConnectionLostError,
    WorkerConnection,
    connect,
    parse_stored,
    status_of,
)
from aios3sync.processes.messages import (
    CANCEL_PENDING,
    CANCELLED,
    HEADER_TEMPLATE,
    NOT_UTF8,
    ROUTE,
    SLOW_STORAGE,
    UNSENT,
    HeaderTemplateMessage,
    ReturnedJob,
    RouteMessage,
    StoredJob,
    receive,
    send,
)
from aios3sync.processes.protocol import UploadJob
from aios3sync.store.wire.requests import MAX_XML, HeaderTemplate, HttpRequest, object_path
from aios3sync.store.wire.signing import HeadWriter
from aios3sync.store.wire.sigv4 import Credentials, Signer, moment
from aios3sync.store.wire.tls import TrustedAuthorities, context_of

__all__ = ("UploadProcess", "main")

_MAX_OPENING: Final = 32
"""Connections that are opened at once, each in a thread."""
_BATCH: Final = 64
"""Results that are sent back at once without waiting for more."""
_LATENCY: Final = 0.005
"""Seconds that a result may wait for others to go back with it."""
_READABLE: Final = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
_SLOW_FILE: Final = 0.0005
"""Mean seconds for reading a small file, above which one reader cannot keep the connections busy."""
_SAMPLE: Final = 64
"""Files over which that mean is taken."""


class _Route:
    """A route, ready for use."""

    def __init__(self, message: RouteMessage) -> None:
        credentials = Credentials(message.access_key, message.secret_key, message.token)
        signer = Signer(credentials, message.region, message.service)
        self.heads = HeadWriter(signer, message.authority, message.root, message.user_agent)
        self.host, self.port = message.host, message.port
        self.connect_timeout, self.read_timeout = message.connect, message.read
        self.tls: ssl.SSLContext | None = None
        if message.authorities is not None:
            self.tls = context_of(TrustedAuthorities(*message.authorities))

    def is_same_address(self, other: _Route) -> bool:
        """Whether connections of the other route lead to the same host and port."""
        return (self.host, self.port) == (other.host, other.port)


class _SentJob(NamedTuple):
    """The job whose request is in flight on a connection."""

    number: int
    job: UploadJob
    md5: bytes
    started_ns: int


class _HeaderTemplate:
    """A header template, ready for use."""

    def __init__(self, message: HeaderTemplateMessage) -> None:
        self.headers = HeaderTemplate(message.constant, message.varying)
        self.metadata, self.mtime, self.md5 = [*message.metadata], message.mtime, message.md5
        self.utf8 = message.utf8


class UploadProcess:
    """Sends the files of jobs until its input is closed.

    Args:
        input_pipe, output_pipe: descriptors of the pipes from and to the session.
    """

    def __init__(self, input_pipe: int, output_pipe: int) -> None:
        self._input, self._output = input_pipe, output_pipe
        self._poll = select.epoll()
        self._poll.register(input_pipe, select.EPOLLIN)
        self._wake_read, self._wake_write = os.pipe()
        self._poll.register(self._wake_read, select.EPOLLIN)
        self._routes: list[_Route] = []
        self._templates: dict[int, _HeaderTemplate] = {}
        self._slots = 0
        self._skew = 0.0
        self._pending: deque[tuple[int, UploadJob]] = deque()
        self._connections: dict[int, WorkerConnection] = {}
        self._idle: list[WorkerConnection] = []
        self._opened: deque[tuple[_Route, WorkerConnection | Exception]] = deque()
        self._opening = 0
        self._results: list[StoredJob | ReturnedJob] = []
        self._flushed_at = 0.0
        self._read_seconds = 0.0
        self._files_read = 0
        self._expired_at = 0.0

    def run(self) -> None:
        """Work until a pipe is closed.

        Raises:
            EOFError: the session closed the input.
            BrokenPipeError: the session closed the output.
        """
        while True:
            timeout = _LATENCY if self._results else 0.5
            for descriptor, _ in self._poll.poll(timeout):
                if descriptor == self._input:
                    self._dispatch(receive(self._input))
                elif descriptor == self._wake_read:
                    self._add_opened()
                elif (connection := self._connections.get(descriptor)) is not None:
                    self._serve(connection)
            self._send_pending()
            self._flush_results()

    # Messages of the session

    def _dispatch(self, message: Any) -> None:
        topic, *rest = message
        if topic == ROUTE:
            self._change_route(_Route(RouteMessage(*rest)))
        elif topic == HEADER_TEMPLATE:
            template = HeaderTemplateMessage(*rest)
            self._templates[template.number] = _HeaderTemplate(template)
        elif topic == CANCEL_PENDING:
            self._return_pending(CANCELLED)
        else:
            self._slots, self._skew, first, jobs = rest
            self._pending.extend(enumerate(map(UploadJob._make, jobs), first))

    def _change_route(self, route: _Route) -> None:
        old, self._routes = self._routes, [route]
        if old and not route.is_same_address(old[0]):
            while self._idle:
                self._close(self._idle.pop())

    @property
    def _route(self) -> _Route:
        return self._routes[0]  # there is one: it is the first message

    # Requests

    def _send_pending(self) -> None:
        """Send as many jobs as there are slots for."""
        busy = len(self._connections) - len(self._idle)
        while self._pending and busy < self._slots:
            if not self._idle:
                self._open(min(self._slots - busy, len(self._pending)))
                return
            self._send(self._idle.pop(), *self._pending.popleft())
            busy = len(self._connections) - len(self._idle)

    def _send(self, connection: WorkerConnection, number: int, job: UploadJob) -> None:
        began = time.monotonic()
        try:
            found = read_same(job.place, job[3:])
        except Exception:  # noqa: BLE001 - the session reports what is wrong with this file
            found = None
        self._read_seconds += time.monotonic() - began
        self._files_read += 1
        if found is None:
            self._idle.append(connection)
            self._results.append((number, UNSENT, "the file is not as it was"))
            return
        body, started_ns = found
        if self._templates[job.template].utf8 and not is_utf8(body):
            self._idle.append(connection)
            self._results.append((number, UNSENT, NOT_UTF8))
            return
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        try:
            head = self._head(job, body, md5)
        except Exception:  # noqa: BLE001 - the session reports what is wrong with this file
            self._idle.append(connection)
            self._results.append((number, UNSENT, "the request cannot be written"))
            return
        try:
            if not connection.request(_SentJob(number, job, md5, started_ns), head + body):
                self._poll.modify(connection.descriptor, _READABLE | select.EPOLLOUT)
        except ConnectionLostError as error:
            self._on_lost(connection, error)

    def _head(self, job: UploadJob, body: bytes, md5: bytes) -> bytes:
        """Return the signed request head of a job."""
        template = self._templates[job.template]
        sha256 = hashlib.sha256(body).hexdigest()
        digest, metadata = b64encode(md5).decode("ascii"), template.metadata
        metadata[template.mtime] = rclone_mtime(job.mtime_ns)
        if template.md5 >= 0:
            metadata[template.md5] = digest
        values = (digest, sha256, *metadata)
        path = object_path(job.key)
        request = HttpRequest(
            "PutObject", job.key, "PUT", path, "", template.headers, values, sha256, body, True, MAX_XML
        )
        return self._route.heads.head(request, moment(int(time.time() + self._skew)))

    # Responses

    def _serve(self, connection: WorkerConnection) -> None:
        """Continue to write or read on a connection that is ready for it."""
        try:
            if connection.writing and connection.write():
                self._poll.modify(connection.descriptor, _READABLE)
            head = connection.read()
        except ConnectionLostError as error:
            self._on_lost(connection, error)
            return
        if head:
            self._on_response(connection, head)

    def _on_response(self, connection: WorkerConnection, head: bytes) -> None:
        sent = connection.in_flight
        connection.in_flight = None
        if not isinstance(sent, _SentJob):
            self._close(connection)
            return
        response = parse_stored(head)
        if response is None:
            self._close(connection)
            self._results.append((sent.number, status_of(head), "refused"))
            return
        facts = (response.etag, response.encryption, response.version_id)
        self._results.append((sent.number, sent.md5, sent.started_ns, *facts))
        if response.reusable:
            self._idle.append(connection)
        else:
            self._close(connection)

    def _on_lost(self, connection: WorkerConnection, error: ConnectionLostError) -> None:
        """Close a lost connection; a job whose connection was closed while idle is tried on another one."""
        self._close(connection)
        if isinstance(sent := connection.in_flight, _SentJob):
            if error.stale:
                self._pending.appendleft((sent.number, sent.job))
            else:
                self._results.append((sent.number, 0, "the connection broke"))

    def _close(self, connection: WorkerConnection) -> None:
        self._connections.pop(connection.descriptor, None)
        if connection in self._idle:
            self._idle.remove(connection)
        connection.close()

    def _expire(self) -> None:
        """Return the jobs whose response has taken too long."""
        limit = time.monotonic() - self._route.read_timeout
        for connection in [*self._connections.values()]:
            if connection.in_flight is not None and connection.started < limit:
                self._on_lost(connection, ConnectionLostError(stale=False))

    # Opening connections

    def _open(self, wanted: int) -> None:
        """Start threads that open one connection each."""
        for _ in range(min(wanted, _MAX_OPENING) - self._opening):
            self._opening += 1
            threading.Thread(target=self._connect, args=(self._route,), daemon=True).start()

    def _connect(self, route: _Route) -> None:
        opened: WorkerConnection | Exception
        try:
            opened = connect(route.host, route.port, route.tls, route.connect_timeout)
        except Exception as error:  # noqa: BLE001 - a thread that reported nothing would be waited for for ever
            opened = error
        self._opened.append((route, opened))
        os.write(self._wake_write, b".")

    def _add_opened(self) -> None:
        os.read(self._wake_read, 4096)
        while self._opened:
            route, opened = self._opened.popleft()
            self._opening -= 1
            if isinstance(opened, Exception):
                if not self._connections and not self._opening:
                    self._return_pending("no connection")
            elif not route.is_same_address(self._route):  # the route changed while it was opened
                opened.close()
            else:
                self._connections[opened.descriptor] = opened
                self._idle.append(opened)
                self._poll.register(opened.descriptor, _READABLE)

    def _return_pending(self, reason: str) -> None:
        """Return the jobs that have not begun."""
        while self._pending:
            self._results.append((self._pending.popleft()[0], UNSENT, reason))

    # Results

    def _flush_results(self) -> None:
        now = time.monotonic()
        if self._files_read >= _SAMPLE:
            if self._read_seconds > _SLOW_FILE * self._files_read:
                self._return_pending(SLOW_STORAGE)
            self._read_seconds, self._files_read = 0.0, 0
        if self._results and (len(self._results) >= _BATCH or now - self._flushed_at >= _LATENCY):
            results, self._results = self._results, []
            send(self._output, results)
            self._flushed_at = now
        if now - self._expired_at >= 1.0 and self._routes:
            self._expired_at = now
            self._expire()


def main() -> None:
    """Serve standard input until it is closed."""
    gc.set_threshold(50_000, 20, 50)  # the objects of a request form no cycles
    try:
        UploadProcess(0, 1).run()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # there is nothing to clean up, and the interpreter would take its time for that
