"""JobProcess: the common part of the programs: jobs, connections, and results that are returned in batches.

One thread waits for all connections; other threads only open them.
"""

from __future__ import annotations

import gc
import os
import select
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.processes.connection import ConnectionLostError, WorkerConnection, connect
from aios3sync.processes.messages import (
    CANCEL_PENDING,
    CANCELLED,
    JOBS,
    ROUTE,
    SLOW_STORAGE,
    UNSENT,
    RouteMessage,
    receive,
    send,
)
from aios3sync.store.wire.signing import HeadWriter
from aios3sync.store.wire.sigv4 import Credentials, Signer
from aios3sync.store.wire.tls import TrustedAuthorities, context_of

__all__ = ("JobProcess", "Route", "SentJob", "serve")

_MAX_OPENING: Final = 32
"""Connections that are opened at once, each in a thread."""
_BATCH: Final = 64
"""Number of results that are sent back without waiting for more."""
_LATENCY: Final = 0.005
"""Seconds that a result may wait for others, to be sent back with them."""
_SLOW_FILE: Final = 0.0005
"""Mean seconds for a small file above which one thread cannot keep the connections busy."""
_SAMPLE: Final = 64
"""Number of files for that mean."""
_READABLE: Final = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR


class Route:
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

    def is_same_address(self, other: Route) -> bool:
        """Whether connections of the other route lead to the same host and port."""
        return (self.host, self.port) == (other.host, other.port)


class SentJob(NamedTuple):
    """The job whose request is in flight on a connection; ``facts`` belong to its program."""

    number: int
    job: Any
    facts: tuple[Any, ...] = ()


class JobProcess(ABC):
    """Makes one request for each job until its input is closed; it never retries.

    Args:
        input_pipe, output_pipe: descriptors of the pipes from and to the session.
    """

    def __init__(self, input_pipe: int, output_pipe: int) -> None:
        self._input, self._output = input_pipe, output_pipe
        self._poll = select.epoll()
        self._poll.register(input_pipe, select.EPOLLIN)
        self._wake_read, self._wake_write = os.pipe()
        self._poll.register(self._wake_read, select.EPOLLIN)
        self._routes: list[Route] = []
        self._slots = 0
        self._skew = 0.0
        self._pending: deque[tuple[int, Any]] = deque()
        self._connections: dict[int, WorkerConnection] = {}
        self._idle: list[WorkerConnection] = []
        self._opened: deque[tuple[Route, WorkerConnection | Exception]] = deque()
        self._opening = 0
        self._results: list[tuple[Any, ...]] = []
        self._flushed_at = 0.0
        self._storage_seconds = 0.0
        self._storage_files = 0
        self._expired_at = 0.0

    def run(self) -> None:
        """Work until a pipe is closed.

        Raises:
            EOFError: the session closed the input.
            BrokenPipeError: the session closed the output.
        """
        while True:
            timeout = _LATENCY if self._has_waiting() else 0.5
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
            self._change_route(Route(RouteMessage(*rest)))
        elif topic == CANCEL_PENDING:
            self._return_pending(CANCELLED)
        elif topic == JOBS:
            self._slots, self._skew, first, jobs = rest
            self._pending.extend(enumerate(jobs, first))
        else:
            self._set_up(rest)

    @abstractmethod
    def _set_up(self, rest: list[Any]) -> None:
        """Take a message that only this program knows."""

    def _change_route(self, route: Route) -> None:
        old, self._routes = self._routes, [route]
        if old and not route.is_same_address(old[0]):
            while self._idle:
                self._close(self._idle.pop())

    @property
    def _route(self) -> Route:
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

    @abstractmethod
    def _send(self, connection: WorkerConnection, number: int, job: Any) -> None:
        """Begin the request of one job on a connection, or end the job and leave the connection idle."""

    def _request(self, connection: WorkerConnection, sent: SentJob, content: bytes) -> None:
        try:
            if not connection.request(sent, content):
                self._poll.modify(connection.descriptor, _READABLE | select.EPOLLOUT)
        except ConnectionLostError as error:
            self._on_lost(connection, error)

    # Responses

    def _serve(self, connection: WorkerConnection) -> None:
        """Continue to write or read on a connection that is ready for it."""
        try:
            if connection.writing and connection.write():
                self._poll.modify(connection.descriptor, _READABLE)
            head = self._read(connection)
        except ConnectionLostError as error:
            self._on_lost(connection, error)
            return
        if head:
            sent = connection.in_flight
            connection.in_flight = None
            if isinstance(sent, SentJob) and self._on_response(sent, head, connection.seconds):
                self._idle.append(connection)
            else:
                self._close(connection)

    def _read(self, connection: WorkerConnection) -> bytes:
        """Return the head of the response once it is complete, until then ``None``."""
        return connection.read()

    @abstractmethod
    def _on_response(self, sent: SentJob, head: bytes, seconds: float) -> bool:
        """End a job whose request took ``seconds``; return whether its connection can be reused."""

    def _on_lost(self, connection: WorkerConnection, error: ConnectionLostError) -> None:
        """Close a lost connection; a job whose connection was closed while idle is sent on another one."""
        self._close(connection)
        if isinstance(sent := connection.in_flight, SentJob):
            if error.stale:
                self._pending.appendleft((sent.number, sent.job))
            else:
                self._results.append((sent.number, 0, "the connection broke", connection.seconds))

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

    def _connect(self, route: Route) -> None:
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
            self._results.append((self._pending.popleft()[0], UNSENT, reason, 0.0))

    def _note_storage(self, seconds: float, files: int) -> None:
        """Count files that were read or written; where that is slow, the session does it in threads."""
        self._storage_seconds += seconds
        self._storage_files += files
        if self._storage_files >= _SAMPLE:
            if self._storage_seconds > _SLOW_FILE * self._storage_files:
                self._return_pending(SLOW_STORAGE)
            self._storage_seconds, self._storage_files = 0.0, 0

    # Results

    def _has_waiting(self) -> bool:
        """Whether results wait to be sent back."""
        return bool(self._results)

    def _flush_results(self) -> None:
        now = time.monotonic()
        if self._results and (len(self._results) >= _BATCH or now - self._flushed_at >= _LATENCY):
            results, self._results = self._results, []
            send(self._output, results)
            self._flushed_at = now
        if now - self._expired_at >= 1.0 and self._routes:
            self._expired_at = now
            self._expire()


def serve(program: type[JobProcess]) -> None:
    """Serve standard input until it is closed."""
    gc.set_threshold(50_000, 20, 50)  # the objects of a request form no cycles
    try:
        program(0, 1).run()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # there is nothing to clean up, and the interpreter would take its time for that
