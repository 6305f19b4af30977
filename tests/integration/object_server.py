"""An endpoint in a thread that lists and reads, notes every range that it sends, and lies when asked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

_PAGE = 1000
_PIECE = 256 * 1024


class Answer(NamedTuple):
    """What a read is answered with; ``content_range`` is empty for an answer with the whole."""

    body: bytes
    content_range: str


@dataclass
class ObjectServer:
    """The objects of one bucket named ``bucket``.

    Attributes:
        objects: bodies by key.
        sent: the ranges that were sent to their last byte, ``(key, start)``.
        lie: changes the answer to a read of a key.
        pause: seconds between two pieces of a body.
    """

    objects: dict[str, bytes]
    sent: Counter[tuple[str, int]] = field(default_factory=Counter)
    lie: Callable[[str, Answer], Answer] = lambda _, answer: answer
    pause: float = 0.0
    url: str = ""
    _etags: dict[str, str] = field(default_factory=dict)

    def etag(self, key: str) -> str:
        if key not in self._etags:
            self._etags[key] = md5(self.objects[key], usedforsecurity=False).hexdigest()
        return self._etags[key]

    def replace(self, objects: dict[str, bytes]) -> None:
        """Hold other objects from now on."""
        self._etags = {}
        self.objects = objects

    def listing(self, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        keys = [key for key in sorted(self.objects, key=str.encode) if key.startswith(prefix)]
        rest = [key for key in keys if key.encode() > after.encode()]
        page = rest[:_PAGE]
        more = len(rest) > _PAGE
        rows = "".join(
            f"<Contents><Key>{quote(key)}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{self.etag(key)}&quot;</ETag><Size>{len(self.objects[key])}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{quote(page[-1])}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>'
            f"<Name>bucket</Name><Prefix>{quote(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
            f"<MaxKeys>{_PAGE}</MaxKeys><EncodingType>url</EncodingType>"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{token}{rows}</ListBucketResult>"
        ).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: ObjectServer

    def log_message(self, *_: object) -> None:
        """Write nothing."""

    def do_HEAD(self) -> None:
        self._object(body=False)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path in ("/bucket", "/bucket/"):
            self._send(200, self.store.listing(parse_qs(parts.query, keep_blank_values=True)), {})
        else:
            self._object(body=True)

    def _object(self, *, body: bool) -> None:
        store, key = self.store, unquote(urlsplit(self.path).path.removeprefix("/bucket/"))
        if key not in store.objects:
            self._send(404, b"", {})
            return
        content = store.objects[key]
        headers = {"ETag": f'"{store.etag(key)}"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not body:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            return
        answer, start = Answer(content, ""), 0
        if asked:
            start, end = int(asked[1]), min(int(asked[2]) + 1, len(content))
            answer = Answer(content[start:end], f"bytes {start}-{end - 1}/{len(content)}")
        answer = store.lie(key, answer)
        if answer.content_range:
            headers["Content-Range"] = answer.content_range
        self._send(206 if answer.content_range else 200, answer.body, headers)
        store.sent[key, start] += 1

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        for offset in range(0, len(body), _PIECE):
            self.wfile.write(body[offset : offset + _PIECE])
            if self.store.pause:
                time.sleep(self.store.pause)

    def handle(self) -> None:
        """Serve one connection; a client that was killed is no error."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True


@contextmanager
def object_server(objects: dict[str, bytes]) -> Iterator[ObjectServer]:
    """Serve these objects on a free port of loopback until the block ends."""
    store = ObjectServer(objects)
    handler = type("Handler", (_Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def start_sync(
    server: ObjectServer, root: Path, *options: str, stderr: int | None = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Start a sync of ``p/`` to a directory as a process; its manifest lies next to the directory."""
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "aios3sync", "sync", "s3://bucket/p/", str(root)]
    command += ["--endpoint-url", server.url, "--manifest", str(root.parent / "m.sqlite")]
    return subprocess.Popen([*command, *options], env=environment, stderr=stderr)


def files(root: Path) -> dict[str, bytes]:
    """Return all files below a directory, temporary ones too."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def visible(root: Path) -> dict[str, bytes]:
    """Return the files below a directory that are not those of unfinished downloads."""
    return {key: body for key, body in files(root).items() if ".aios3sync-" not in key}


def finished_ranges(root: Path) -> set[tuple[str, int]]:
    """Return what the journals of a directory say: the ranges that need not be read again."""
    found = set()
    for journal in root.rglob(".aios3sync-*.ranges"):
        facts, *lines = journal.read_text().splitlines() or ["{}"]
        found |= {(f"p/{json.loads(facts)['key']}", int(line)) for line in lines}
    return found
