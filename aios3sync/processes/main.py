"""The program of a courier: reads, signs and sends what it is told to; it never retries and judges nothing.

One thread waits for all connections at once, others only open them. Answers go back in batches.
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
from aios3sync.processes.connection import LostError, WorkerConnection, connect, status_of, stored
from aios3sync.processes.messages import (
    KIND,
    OTHER_CHARSET,
    RECALL,
    RECALLED,
    ROUTE,
    SLOW,
    UNSENT,
    HeaderTemplateMessage,
    RouteMessage,
    Told,
    Undone,
    receive,
    send,
)
from aios3sync.processes.protocol import UploadJob
from aios3sync.store.wire.requests import MAX_XML, HttpRequest, Shape, object_path
from aios3sync.store.wire.signing import HeadWriter
from aios3sync.store.wire.sigv4 import Credentials, Signer, moment
from aios3sync.store.wire.tls import Trust, context_of

__all__ = ("UploadProcess", "main")

_OPENERS: Final = 32
_BATCH: Final = 64
_LATENCY: Final = 0.005
"""Seconds that an answer may wait for others to go back with it."""
_READABLE: Final = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
_SLOW_FILE: Final = 0.0005
"""Seconds for a small file, above which it takes more than one reader to keep connections busy."""
_SAMPLE: Final = 64


class _Route:
    """A route, ready for use."""

    def __init__(self, message: RouteMessage) -> None:
        credentials = Credentials(message.access_key, message.secret_key, message.token)
        signer = Signer(credentials, message.region, message.service)
        self.heads = HeadWriter(signer, message.authority, message.root, message.user_agent)
        self.host, self.port = message.host, message.port
        self.connect_timeout, self.read_timeout = message.connect, message.read
        self.tls: ssl.SSLContext | None = None
        if message.trust is not None:
            self.tls = context_of(Trust(*message.trust))


class _Sent(NamedTuple):
    """What a line is busy with."""

    number: int
    job: UploadJob
    md5: bytes
    started: int


class _HeaderTemplate:
    def __init__(self, message: HeaderTemplateMessage) -> None:
        self.shape = Shape(message.constant, message.varying)
        self.metadata, self.mtime, self.md5 = [*message.metadata], message.mtime, message.md5
        self.utf8 = message.utf8


class UploadProcess:
    """Sends jobs until its standard input is closed.

    Args:
        asks, answers: descriptors of the pipes to and from the session.
    """

    def __init__(self, asks: int, answers: int) -> None:
        self._asks, self._answers = asks, answers
        self._poll = select.epoll()
        self._poll.register(asks, select.EPOLLIN)
        self._woken, self._wake = os.pipe()
        self._poll.register(self._woken, select.EPOLLIN)
        self._routes: list[_Route] = []
        self._kinds: dict[int, _HeaderTemplate] = {}
        self._slots = 0
        self._skew = 0.0
        self._waiting: deque[tuple[int, UploadJob]] = deque()
        self._lines: dict[int, WorkerConnection] = {}
        self._idle: list[WorkerConnection] = []
        self._opened: deque[tuple[_Route, WorkerConnection | Exception]] = deque()
        self._opening = 0
        self._told: list[Told | Undone] = []
        self._sent_back = 0.0
        self._reading = 0.0
        self._read = 0
        self._looked = 0.0

    def run(self) -> None:
        """Work; raises EOFError when nobody asks any more, BrokenPipeError when nobody listens."""
        while True:
            timeout = _LATENCY if self._told else 0.5
            for number, _ in self._poll.poll(timeout):
                if number == self._asks:
                    self._take(receive(self._asks))
                elif number == self._woken:
                    self._welcome()
                elif (line := self._lines.get(number)) is not None:
                    self._attend(line)
            self._start()
            self._report()

    # What is asked

    def _take(self, message: Any) -> None:
        topic, *rest = message
        if topic == ROUTE:
            self._reroute(_Route(RouteMessage(*rest)))
        elif topic == KIND:
            kind = HeaderTemplateMessage(*rest)
            self._kinds[kind.number] = _HeaderTemplate(kind)
        elif topic == RECALL:
            self._give_up(RECALLED)
        else:
            self._slots, self._skew, first, jobs = rest
            self._waiting.extend(enumerate(map(UploadJob._make, jobs), first))

    def _reroute(self, route: _Route) -> None:
        old, self._routes = self._routes, [route]
        if old and self._moved(old[0]):
            while self._idle:
                self._drop(self._idle.pop())

    @property
    def _route(self) -> _Route:
        return self._routes[0]  # the first thing that is told

    def _moved(self, old: _Route) -> bool:
        return (old.host, old.port) != (self._route.host, self._route.port)

    def _start(self) -> None:
        """Send as much as may be under way at once."""
        busy = len(self._lines) - len(self._idle)
        while self._waiting and busy < self._slots:
            if not self._idle:
                self._open(min(self._slots - busy, len(self._waiting)))
                return
            self._send(self._idle.pop(), *self._waiting.popleft())
            busy = len(self._lines) - len(self._idle)

    def _send(self, line: WorkerConnection, number: int, job: UploadJob) -> None:
        began = time.monotonic()
        try:
            found = read_same(job.place, job[3:])
        except Exception:  # noqa: BLE001 - the session says what is wrong with this file
            found = None
        self._reading += time.monotonic() - began
        self._read += 1
        if found is None:
            self._idle.append(line)
            self._told.append((number, UNSENT, "the file is not as it was"))
            return
        body, started = found
        if self._kinds[job.kind].utf8 and not is_utf8(body):
            self._idle.append(line)
            self._told.append((number, UNSENT, OTHER_CHARSET))
            return
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        try:
            head = self._head(job, body, md5)
        except Exception:  # noqa: BLE001 - the session says what is wrong with this file
            self._idle.append(line)
            self._told.append((number, UNSENT, "the request cannot be written"))
            return
        try:
            if not line.request(_Sent(number, job, md5, started), head + body):
                self._poll.modify(line.number, _READABLE | select.EPOLLOUT)
        except LostError as error:
            self._lose(line, error)

    def _head(self, job: UploadJob, body: bytes, md5: bytes) -> bytes:
        kind = self._kinds[job.kind]
        sha256 = hashlib.sha256(body).hexdigest()
        digest, metadata = b64encode(md5).decode("ascii"), kind.metadata
        metadata[kind.mtime] = rclone_mtime(job.mtime_ns)
        if kind.md5 >= 0:
            metadata[kind.md5] = digest
        values = (digest, sha256, *metadata)
        path = object_path(job.key)
        request = HttpRequest(
            "PutObject", job.key, "PUT", path, "", kind.shape, values, sha256, body, True, MAX_XML
        )
        return self._route.heads.head(request, moment(int(time.time() + self._skew)))

    # What connections bring

    def _attend(self, line: WorkerConnection) -> None:
        try:
            if line.writing and line.write():
                self._poll.modify(line.number, _READABLE)
            head = line.read()
        except LostError as error:
            self._lose(line, error)
            return
        if head:
            self._judge(line, head)

    def _judge(self, line: WorkerConnection, head: bytes) -> None:
        sent = line.load
        line.load = None
        if not isinstance(sent, _Sent):
            self._drop(line)
            return
        answer = stored(head)
        if answer is None:
            self._drop(line)
            self._told.append((sent.number, status_of(head), "refused"))
            return
        facts = (answer.etag, answer.encryption, answer.version_id)
        self._told.append((sent.number, sent.md5, sent.started, *facts))
        if answer.reusable:
            self._idle.append(line)
        else:
            self._drop(line)

    def _lose(self, line: WorkerConnection, error: LostError) -> None:
        """The connection is gone; what was closed while nobody used it is no failure of the job."""
        self._drop(line)
        if isinstance(sent := line.load, _Sent):
            if error.stale:
                self._waiting.appendleft((sent.number, sent.job))
            else:
                self._told.append((sent.number, 0, "the connection broke"))

    def _drop(self, line: WorkerConnection) -> None:
        self._lines.pop(line.number, None)
        if line in self._idle:
            self._idle.remove(line)
        line.close()

    def _expire(self) -> None:
        """Give up what waits for an answer for too long."""
        limit = time.monotonic() - self._route.read_timeout
        for line in [*self._lines.values()]:
            if line.load is not None and line.began < limit:
                self._lose(line, LostError(stale=False))

    # Opening connections

    def _open(self, wanted: int) -> None:
        """Have threads open connections, each of them one."""
        for _ in range(min(wanted, _OPENERS) - self._opening):
            self._opening += 1
            threading.Thread(target=self._connect, args=(self._route,), daemon=True).start()

    def _connect(self, route: _Route) -> None:
        opened: WorkerConnection | Exception
        try:
            opened = connect(route.host, route.port, route.tls, route.connect_timeout)
        except Exception as error:  # noqa: BLE001 - one that never ends would be waited for for ever
            opened = error
        self._opened.append((route, opened))
        os.write(self._wake, b".")

    def _welcome(self) -> None:
        os.read(self._woken, 4096)
        while self._opened:
            route, opened = self._opened.popleft()
            self._opening -= 1
            if isinstance(opened, Exception):
                if not self._lines and not self._opening:
                    self._give_up("no connection")
            elif route is not self._route and self._moved(route):
                opened.close()
            else:
                self._lines[opened.number] = opened
                self._idle.append(opened)
                self._poll.register(opened.number, _READABLE)

    def _give_up(self, reason: str) -> None:
        """What waits goes the usual way."""
        while self._waiting:
            self._told.append((self._waiting.popleft()[0], UNSENT, reason))

    # Telling

    def _report(self) -> None:
        now = time.monotonic()
        if self._read >= _SAMPLE:
            if self._reading > _SLOW_FILE * self._read:
                self._give_up(SLOW)
            self._reading, self._read = 0.0, 0
        if self._told and (len(self._told) >= _BATCH or now - self._sent_back >= _LATENCY):
            told, self._told = self._told, []
            send(self._answers, told)
            self._sent_back = now
        if now - self._looked >= 1.0 and self._routes:
            self._looked = now
            self._expire()


def main() -> None:
    """Serve standard input until it is closed."""
    gc.set_threshold(50_000, 20, 50)  # what is made for a request forms no circles
    try:
        UploadProcess(0, 1).run()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # nothing is left to be tidied up, and the interpreter takes its time for that
