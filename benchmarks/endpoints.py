"""The endpoints to measure on: they start empty, can be emptied and filled, and leave nothing behind.

Measures nothing. A server of our own is emptied by starting a new one on an empty directory, which also
empties its caches; a bucket of an existing endpoint is emptied below ``ROOT`` alone.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from aios3sync.testing import Endpoint, rclone_serve, start_seaweedfs

__all__ = ("BUCKET", "ROOT", "ExistingBucket", "OwnServer", "Server", "client_of", "open_server")

BUCKET: Final = "aios3sync-bench"
ROOT: Final = "bench"
"""All keys begin with it."""

_PER_FOLDER: Final = 1000
_PATIENCE_S: Final = 10.0


class Server(Protocol):
    """An endpoint that can be emptied and filled."""

    label: str
    etags: bool

    @property
    def endpoint(self) -> Endpoint:
        """URL and credentials; the URL changes with each ``reset``."""
        ...

    def reset(self) -> None:
        """Remove all but the bucket."""
        ...

    def fill(self, prefix: str, count: int) -> bool:
        """Remove all but the bucket and create ``count`` objects of 100 bytes.

        Returns:
            False where only an upload can do that.
        """
        ...

    def close(self) -> None:
        """Stop the server, or remove the objects and the bucket that this program made."""
        ...


def client_of(endpoint: Endpoint) -> Any:
    """Return a boto3 client, for checks after a run and never while one is measured."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )


class OwnServer:
    """A server that this program starts again for every reset.

    Args:
        label: its name, and its options if they matter.
        start: runs it, with a directory for its data.
        place: an empty directory in memory.
        etags: the ETag of a single PUT is the MD5 of its body.
        fills: ``files`` if every file below its directory is an object, ``request`` if it has a request that
            creates objects, empty if neither.
    """

    def __init__(
        self,
        label: str,
        start: Callable[[Path], AbstractContextManager[Endpoint]],
        place: Path,
        *,
        etags: bool = True,
        fills: str = "",
    ) -> None:
        self.label = label
        self.etags = etags
        self._start = start
        self._place = place
        self._fills = fills
        self._running = ExitStack()
        self._endpoint: Endpoint | None = None

    @property
    def endpoint(self) -> Endpoint:
        """See Server."""
        if self._endpoint is None:
            raise RuntimeError("reset() starts the server")
        return self._endpoint

    def reset(self) -> None:
        """See Server."""
        self.close()
        self._begin()

    def fill(self, prefix: str, count: int) -> bool:
        """See Server."""
        if self._fills == "files":
            self.close()
            _write_objects(self._place / BUCKET / prefix, count)
            self._begin()
            return True
        self.reset()
        if self._fills == "request":
            _ask_to_fill(self.endpoint, prefix, count)
            return True
        return False

    def close(self) -> None:
        """See Server."""
        self._running.close()
        self._endpoint = None
        shutil.rmtree(self._place, ignore_errors=True)

    def _begin(self) -> None:
        self._place.mkdir(parents=True, exist_ok=True)
        self._endpoint = self._running.enter_context(self._start(self._place))
        client = client_of(self._endpoint)
        if not (self._place / BUCKET).exists():
            client.create_bucket(Bucket=BUCKET)
        # The first object of a bucket can take a second, in which SeaweedFS makes its volumes; it is not to
        # be in the time of a contender.
        client.put_object(Bucket=BUCKET, Key="first", Body=b"first")
        client.delete_object(Bucket=BUCKET, Key="first")
        client.close()


class ExistingBucket:
    """A bucket of an endpoint that runs already; created if it is missing, and then removed."""

    def __init__(self, endpoint: Endpoint, bucket: str = BUCKET) -> None:
        self.label = f"an endpoint of its own ({urlsplit(endpoint.url).hostname})"
        self.etags = True
        self.endpoint = endpoint
        self._client = client_of(endpoint)
        self._bucket = bucket
        known = {each["Name"] for each in self._client.list_buckets()["Buckets"]}
        self._is_ours = bucket not in known
        if self._is_ours:
            self._client.create_bucket(Bucket=bucket)

    def reset(self) -> None:
        """See Server."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"{ROOT}/")
        for page in pages:
            keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
            if keys:
                self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True})

    def fill(self, prefix: str, count: int) -> bool:  # noqa: ARG002 - as the protocol has it
        """See Server."""
        self.reset()
        return False

    def close(self) -> None:
        """See Server."""
        self.reset()
        if self._is_ours:
            self._client.delete_bucket(Bucket=self._bucket)
        self._client.close()


def _write_objects(folder: Path, count: int) -> None:
    for number in range(count):
        below = folder / f"d{number // _PER_FOLDER:04}"
        if number % _PER_FOLDER == 0:
            below.mkdir(parents=True)
        (below / f"o{number:07}").write_bytes(b"%100d" % number)


def _ask_to_fill(endpoint: Endpoint, prefix: str, count: int) -> None:
    where = urlsplit(endpoint.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    try:
        connection.request("POST", f"/_s3sim/fill?bucket={BUCKET}&prefix={prefix}/&n={count}&size=100")
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"s3sim did not fill its bucket: {response.status}")
    finally:
        connection.close()


@contextmanager
def open_s3sim(program: Path, options: Sequence[str]) -> Iterator[Endpoint]:
    """Run s3sim, which keeps all objects in memory, until the block ends."""
    port = _free_port()
    process = subprocess.Popen(
        [str(program), "--port", str(port), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _await_s3sim(process, port)
        yield Endpoint(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_s3sim(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/_s3sim/stats")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError("s3sim did not start")


def open_server(kind: str, place: Path, program: Path | None, options: Sequence[str]) -> OwnServer:
    """Return the server that ``--server`` names, not started yet."""
    data = place / "server"
    if kind == "seaweedfs":
        return OwnServer("SeaweedFS", start_seaweedfs, data)
    if kind == "s3sim":
        if program is None:
            raise ValueError("--server s3sim needs --s3sim PATH, the compiled simulator")
        label = " ".join(("s3sim", *options))
        etags = "--no-md5" not in options
        return OwnServer(label, lambda _: open_s3sim(program, options), data, etags=etags, fills="request")
    return OwnServer("rclone serve s3", rclone_serve, data, fills="files")
