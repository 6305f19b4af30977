"""Odd stats, names, environments and answers through the whole command: none of them may be a bug of ours.

Each case is made from its number alone. What is asserted is little, and holds for all of them: the command
ends, with an exit code that it knows, and says nothing of anything unforeseen, neither as a whole nor of one
file.
"""

from __future__ import annotations

import json
import os
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from aios3sync import AioS3SyncError, connect
from tests.cli.conftest import CommandLine, Ended

pytestmark = pytest.mark.timeout(120)

CODES = {0, 1, 2, 3, 4, 5, 6}
UNFORESEEN = re.compile(r"this is a bug|unexpected [A-Z]\w+|Traceback|never retrieved|never awaited")


def check(ended: Ended, case: object) -> None:
    """What holds for every command line."""
    said = UNFORESEEN.search(ended.out + ended.err)
    assert said is None, f"{case}: {said}\n{ended.out}\n{ended.err}"
    assert ended.code in CODES, f"{case}: exit code {ended.code}\n{ended.err}"


# An endpoint that keeps objects and answers at random.


class Server(ThreadingHTTPServer):
    """Keeps objects of any bucket.

    Attributes:
        mischief: given a request, what to answer instead of the truth, or ``None``.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.objects: dict[str, bytes] = {}
        self.mischief: Callable[[str, str], bytes | None] = lambda method, path: None
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing about a client that left."""


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
        """Nothing."""

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        odd = self.server.mischief(self.command, self.path)
        if odd is not None:
            self.wfile.write(odd)
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        query = parse_qs(parts.query, keep_blank_values=True)
        status, headers, answer = self.answer(key, query, body)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.handle_one
        raise AttributeError(name)

    def answer(self, key: str, query: dict[str, list[str]], body: bytes) -> tuple[int, dict[str, str], bytes]:
        objects = self.server.objects
        if not key and self.command == "GET":
            return 200, {}, listing(objects, query.get("prefix", [""])[0])
        if self.command in ("POST", "DELETE") or "uploads" in query:
            return self.change(key, query, body)
        if self.command == "PUT":
            objects[key] = body
            return 200, {"ETag": etag(body)}, b""
        if key not in objects:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        return 200, {"ETag": etag(objects[key])}, objects[key]

    def change(self, key: str, query: dict[str, list[str]], body: bytes) -> tuple[int, dict[str, str], bytes]:
        objects = self.server.objects
        if self.command == "DELETE":
            objects.pop(key, None)
            return 204, {}, b""
        if "delete" in query:
            for name in re.findall(rb"<Key>([^<]*)</Key>", body):
                objects.pop(name.decode("utf-8", "replace"), None)
            return 200, {}, xml("DeleteResult")
        if "uploads" in query:
            return 200, {}, xml("InitiateMultipartUploadResult", UploadId="1")
        objects[key] = b""
        return 200, {}, xml("CompleteMultipartUploadResult", ETag="x-1")


def xml(name: str, inside: str = "", **texts: str) -> bytes:
    inside += "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in texts.items())
    return f"<{name}>{inside}</{name}>".encode()


def etag(body: bytes) -> str:
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


def listing(objects: dict[str, bytes], prefix: str) -> bytes:
    entries = b"".join(
        xml(
            "Contents",
            Key=key,
            LastModified="2026-01-01T00:00:00.000Z",
            ETag=etag(body),
            Size=str(len(body)),
            StorageClass="STANDARD",
        )
        for key, body in sorted(objects.items())
        if key.startswith(prefix)
    )
    return xml("ListBucketResult", entries.decode(), IsTruncated="false")


@pytest.fixture
def server() -> Iterator[Server]:
    """An endpoint of this test."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def fuzzed(
    server: Server, isolated: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line, pointed to that endpoint; between two attempts it does not wait."""
    monkeypatch.setattr(
        "aios3sync.store.wrappers.retry_policy.Backoff.delay", lambda self, attempt, error: 0.0
    )
    here = isolated / "here" / "below"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)  # a source may be "..", which is not to be a checkout with its environments
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "XDG_STATE_HOME": str(isolated),
        "HOME": str(isolated),  # where state goes if the other one is odd
    }
    return CommandLine(environment, monkeypatch, capfd)


def plain_tree(root: Path, names: dict[str, bytes]) -> None:
    for name, body in names.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


# Stats.

NUMBERS = (
    *(0, 1, -1, 2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1),
    *(-11_644_473_600 * 10**9, -11_644_473_601 * 10**9, 9_223_372_037 * 10**9, 253_402_300_800 * 10**9),
    *(-(2**63), 15_032_385_535 * 10**9, 999_999_999, -999_999_999),
)


@contextmanager
def odd_stats(monkeypatch: pytest.MonkeyPatch, root: Path, rng: random.Random) -> Iterator[None]:
    """Let the files below a directory have stats as other filesystems make them, always the same ones."""
    odd = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            inode, mtime, ctime = rng.choice(NUMBERS), rng.choice(NUMBERS), rng.choice(NUMBERS)
            odd[path.stat().st_ino] = (abs(inode), mtime, ctime)

    def changed(real: os.stat_result) -> os.stat_result:
        if real.st_ino not in odd:
            return real
        inode, mtime, ctime = odd[real.st_ino]
        more = {"st_mtime_ns": mtime, "st_ctime_ns": ctime, "st_mtime": mtime / 1e9, "st_ctime": ctime / 1e9}
        values = (real.st_mode, inode, *real[2:7], 0, 0, 0)
        return os.stat_result(values, more)

    with monkeypatch.context() as patch:
        for name in ("stat", "fstat", "lstat"):
            call = getattr(os, name)
            patch.setattr(os, name, lambda *args, call=call, **more: changed(call(*args, **more)))
        yield


@pytest.mark.parametrize("seed", range(4))
def test_no_stat_is_a_bug(
    fuzzed: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int
) -> None:
    rng, root = random.Random(seed), tmp_path / "source"  # noqa: S311 - no secret
    plain_tree(root, {f"d{n % 3}/f{n}": b"%d" % n for n in range(12)})
    manifest = tmp_path / ("state.json" if seed % 2 else "state.sqlite")
    with odd_stats(monkeypatch, root, rng):
        for step, options in enumerate(((), (), ("--check", "content"), ("--delete",), ("--dry-run",))):
            ended = fuzzed("sync", root, "s3://bucket/p", "--manifest", manifest, "--json", *options)
            check(ended, (seed, step))
            counts = ended.json()
            assert (counts["failed"], counts["uploaded"]) == (0, 0 if step else 12), (seed, step, ended.out)
        check(fuzzed("verify", root, "s3://bucket/p"), seed)
        check(fuzzed("explain", root, "s3://bucket/p", "d0/f0", "--manifest", manifest), seed)
        check(fuzzed("manifest", "show", root, "s3://bucket/p", "--manifest", manifest), seed)


# Names.

PIECES = (
    *(
        b"a",
        b"B",
        b".",
        b"..",
        b" ",
        b"\n",
        b"\r",
        b"\t",
        b"\x01",
        b"\x1b[31m",
        b"\x7f",
        b"\\",
        b"%",
        b"%2F",
        b"+",
    ),
    *(b"&", b"?", b"#", b"*", b"[", b"]", b"{", b"~", b"'", b'"', b"<", b">", b"|", b":", b";", b"$", b"-"),
    *(
        b"e\xcc\x81",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc3",
        b"--delete",
        b"s3:",
        b"CON",
        b".gitignore",
        b"a" * 200,
    ),
    *(text.encode() for text in "é\u2028\x85\ufeff\ufffe\U0001f600\u202e\u0130\ufb01\u1100\u1161"),
)


def odd_name(rng: random.Random) -> bytes:
    name = b"".join(rng.choices(PIECES, k=rng.randint(1, 5)))[:255]
    return name if name not in (b"", b".", b"..") else b"odd"


@pytest.mark.parametrize("seed", range(4))
def test_no_name_is_a_bug(fuzzed: CommandLine, tmp_path: Path, seed: int) -> None:
    rng, root = random.Random(seed), os.fsencode(tmp_path / "source")  # noqa: S311 - no secret
    os.makedirs(root)
    for _ in range(25):
        path = os.path.join(root, *(odd_name(rng) for _ in range(rng.randint(1, 3))))
        with suppress(OSError):  # too long, or one of its directories is a file
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if rng.random() < 0.15:
                os.symlink(rng.choice((b".", b"/nowhere", b"..", odd_name(rng))), path)
            else:
                Path(os.fsdecode(path)).write_bytes(odd_name(rng))
    options: list[tuple[str, ...]] = [
        (),
        ("--events",),
        ("--json", "--delete"),
        ("--gitignore", "-v"),
        ("--exclude", os.fsdecode(odd_name(rng))),
        ("--check", "content", "--no-progress"),
    ]
    for given in options:
        check(fuzzed("sync", os.fsdecode(root), "s3://bucket/p", *given), (seed, given))
    names = b"\n".join(odd_name(rng) for _ in range(20))
    check(fuzzed("sync", os.fsdecode(root), "s3://bucket/p", "--files-from", "-", stdin=names), (seed, names))
    check(fuzzed("verify", os.fsdecode(root), "s3://bucket/p"), seed)
    check(fuzzed("explain", os.fsdecode(root), "s3://bucket/p", os.fsdecode(odd_name(rng))), seed)


# Environments.

VALUES = (
    "",
    " ",
    "x",
    "0",
    "-1",
    "1e9",
    "\n",
    " key \n",
    "é",
    "/",
    "/nowhere/x",
    "/dev/null",
    "~",
    "'quoted'",
)
PLACES = ("", "/nowhere/x", "/dev/null", "relative", "/", "\n")
ENVIRONMENT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("HOME", "XDG_STATE_HOME", "TMPDIR", "XDG_CACHE_HOME"), PLACES),
    **dict.fromkeys(
        ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"), (*PLACES, "/bin/sh")
    ),
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), VALUES),
    **dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_RETRY_MODE"), VALUES),
    **dict.fromkeys(("AWS_MAX_ATTEMPTS", "AWS_STS_REGIONAL_ENDPOINTS", "AWS_USE_DUALSTACK_ENDPOINT"), VALUES),
    **dict.fromkeys(("LANG", "LC_ALL", "TERM", "COLUMNS", "LINES", "NO_COLOR", "TZ"), (*VALUES, "C", "dumb")),
    **dict.fromkeys(("AIOS3SYNC_LANE", "AWS_REQUEST_CHECKSUM_CALCULATION"), VALUES),
}


def odd_endpoint(rng: random.Random, url: str) -> str:
    host = url.removeprefix("http://")
    odd = [url, f" {url}\n", f'"{url}"', f"'{url}'", host, f"{url}/", f"{url}/path", f"https://{host}", ""]
    odd += ["http://", "http://a_b:1", "http://[::1", "http://x:99999", "ftp://x", "http://a..b", "localhost"]
    odd += [f"http://{'a' * 70}:1", "http://\x7f", f"http://user:pass@{host}", "http://127.0.0.1:0"]
    return rng.choice(odd)


@pytest.mark.parametrize("seed", range(12))
def test_no_environment_is_a_bug(fuzzed: CommandLine, server: Server, tmp_path: Path, seed: int) -> None:
    rng, root = random.Random(seed), tmp_path / "source"  # noqa: S311 - no secret
    plain_tree(root, {"a.txt": b"1", "d/b": b"2"})
    usual = dict(fuzzed.environment)
    for step in range(4):
        odd = {name: rng.choice(ENVIRONMENT[name]) for name in rng.sample(sorted(ENVIRONMENT), 2)}
        if rng.random() < 0.5:
            odd["AWS_ENDPOINT_URL"] = odd_endpoint(rng, server.url)
        fuzzed.environment = usual | odd
        options = rng.choice(((), ("--json",), ("-v",)))
        check(fuzzed("sync", root, "s3://bucket/p", *options), (seed, step, odd))


# Answers.

BODIES = (
    *(b"", b"\x00\xff", b"<", b"<html>proxy</html>", b"{}", b"<?xml version='1.0'?>", b"<Error/>", b"null"),
    *(
        b"<Error><Code></Code></Error>",
        b"<a>" * 2000,
        b"\xef\xbb\xbf<a/>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    ),
    *(
        xml("ListBucketResult"),
        xml("ListBucketResult", "<Contents/>"),
        xml("DeleteResult", "<Error><Key>?</Key></Error>"),
    ),
    *(xml("ListBucketResult", IsTruncated=text) for text in ("maybe", "true", "")),
    *(
        xml("ListBucketResult", xml("Contents", **facts).decode(), IsTruncated="false")
        for facts in (
            {"Key": "p/x", "Size": "-1"},
            {"Key": "p/x", "Size": "1e99", "ETag": ""},
            {"Key": "other", "Size": "99999999999999999999"},
            {"Key": "p/x", "Size": "1", "LastModified": "never"},
            {"Key": "p/x", "Size": "1", "LastModified": "0001-01-01T00:00:00Z", "ETag": '"' * 5},
            {"Size": "1"},
        )
    ),
)
CODES_OF_S3 = (
    *(
        "NoSuchKey",
        "SlowDown",
        "InternalError",
        "AccessDenied",
        "PreconditionFailed",
        "NotImplemented",
        "Odd",
    ),
    *("InvalidArgument", "EntityTooLarge", "RequestTimeout", "InvalidPart", "XAmzContentSHA256Mismatch"),
)
STATUSES = (
    *(
        200,
        200,
        204,
        206,
        301,
        304,
        307,
        400,
        403,
        404,
        405,
        409,
        411,
        412,
        416,
        418,
        429,
        500,
        501,
        503,
        599,
    ),
)
HEADERS = (
    *(b"ETag: x", b'ETag: ""', b'ETag: W/"1"', b"ETag: \xff", b"ETag: " + b"a" * 5000, b"Retry-After: soon"),
    *(b"Retry-After: -5", b"Location: http://", b"x-amz-bucket-region: ?", b"Content-Encoding: gzip"),
    *(b"Date: never", b"x-amz-version-id: \xe9", b"Last-Modified: x", b"Transfer-Encoding: odd", b": empty"),
    *(b"x-amz-server-side-encryption: aws:kms", b"Content-Type: ", b"x-amz-meta-mtime: later", b"no colon"),
)
HEADS = (b"", b"\n", b"HTTP/1.1", b"HTTP/9.9 abc\r\n\r\n", b"\x16\x03\x01", b"HTTP/1.1 200\r\n\r\n")


def odd_answer(rng: random.Random, method: str) -> bytes:
    kind = rng.random()
    if kind < 0.1:
        return rng.choice(HEADS)
    body = rng.choice(BODIES)
    if kind < 0.4:
        body = b"<Error><Code>%s</Code><Message>\x1b[1m</Message></Error>" % rng.choice(CODES_OF_S3).encode()
    length = len(body) if rng.random() < 0.8 else rng.choice((0, len(body) + 7, -1))
    lines = [b"HTTP/1.1 %d Odd" % rng.choice(STATUSES), *rng.choices(HEADERS, k=rng.randint(0, 3))]
    if rng.random() < 0.9:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join([*lines, b"", b""]) + (b"" if method == "HEAD" else body)


# aiohttp says of an answer that aiobotocore gives up in the middle that its connection was not closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("lane", ["wire", "boto"])
@pytest.mark.parametrize("seed", [1, 4, 6, 10])
def test_no_answer_is_a_bug(
    fuzzed: CommandLine, server: Server, tmp_path: Path, seed: int, lane: str
) -> None:
    root = tmp_path / "source"
    plain_tree(root, {**{f"f{n}.txt": b"%d" % n for n in range(8)}, "big": bytes(6 * 1024 * 1024)})
    large = ("--multipart-threshold", "5M", "--part-size", "5M", "--gzip", "txt", "--lane", lane)
    asked: dict[tuple[str, str], int] = {}

    def mischief(method: str, path: str) -> bytes | None:
        asked[method, path] = asked.get((method, path), 0) + 1
        rng = random.Random(f"{seed} {method} {path} {asked[method, path]}")  # noqa: S311 - no secret
        return odd_answer(rng, method) if rng.random() < 0.6 else None

    for step, options in enumerate(((), ("--delete",), ("--delete-tracked", "--check", "list"))):
        server.mischief = mischief
        check(fuzzed("sync", root, "s3://bucket/p", *large, *options), (seed, lane, step))
        server.mischief = lambda method, path: None
        check(fuzzed("sync", root, "s3://bucket/p", *large), (seed, lane, step, "sane"))
        (root / f"f{step}.txt").unlink()
    server.mischief = mischief
    check(fuzzed("verify", root, "s3://bucket/p", "--lane", lane), (seed, lane))
    check(fuzzed("stats", "s3://bucket/p", "--lane", lane), (seed, lane))


def check_text(text: str, case: object) -> None:
    assert text, case
    assert UNFORESEEN.search(text) is None, (case, text)


# Documents, in which texts may be what no command line can hold.

TEXTS = (
    "",
    "a\0b",
    "\ud800",
    "\udcff",
    "/nowhere/x",
    "..",
    "a//b",
    "\n",
    "x" * 5000,
    "s3://",
    "s3://bucket",
    "é\u202e",
)


@pytest.mark.parametrize("seed", range(3))
def test_no_document_of_a_job_is_a_bug(fuzzed: CommandLine, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secret
    plain_tree(tmp_path / "source", {"a.txt": b"1", "d/b": b"2"})
    odd: tuple[Any, ...] = (*TEXTS, None, 0, -1, 1e300, True, [], {}, ["a\0b"], {"a": "\ud800"}, [[]])
    names: tuple[str, ...] = (
        "source",
        "target",
        "manifest",
        "exclude",
        "files",
        "metadata",
        "content_type",
        "endpoint_url",
    )
    names += (
        "storage_class",
        "part_size",
        "max_delete",
        "gzip",
        "check",
        "delete",
        "options",
        "uploads",
        "region",
    )
    for _ in range(8):
        document: dict[str, Any] = {"source": str(tmp_path / "source"), "target": "s3://bucket/p"}
        document |= {name: rng.choice(odd) for name in rng.sample(names, rng.randint(1, 3))}
        check(fuzzed("job", stdin=json.dumps(document).encode()), document)


@pytest.mark.parametrize("seed", range(3))
async def test_no_argument_of_the_api_is_a_bug(
    server: Server, isolated: Path, tmp_path: Path, seed: int
) -> None:
    """Each is an outcome, or an error of ours that names it."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    plain_tree(tmp_path / "source", {"a.txt": b"1", "d/b": b"2"})
    texts = (*TEXTS, str(tmp_path / "source"), str(tmp_path / "source/a.txt"), "/dev/null")
    for _ in range(8):
        source: Any = rng.choice(texts)
        if rng.random() < 0.7:
            source = {rng.choice(texts): rng.choice(texts) for _ in range(4)}
        options: dict[str, Any] = {
            name: rng.choice((rng.choice(texts), (rng.choice(texts),), {rng.choice(texts): "x"}))
            for name in rng.sample(("manifest", "exclude", "metadata", "content_type", "tags", "gzip"), 1)
        }
        try:
            async with connect(endpoint_url=server.url, anonymous=True) as s3:
                report = await s3.sync(source, "s3://bucket/p", **options)
        except AioS3SyncError as error:
            check_text(str(error), (source, options))
        else:
            check_text(str(report.errors), (source, options))
