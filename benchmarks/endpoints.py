"""The endpoints to measure on: they start empty, can be emptied and filled, and clean up after themselves.

Measures nothing. A server of our own is emptied by starting a new one on an empty directory, which also
empties its caches; a bucket of an existing endpoint is emptied below ``ROOT`` alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from aios3sync.testing import Endpoint, rclone_serve, start_seaweedfs
from benchmarks.certificates import Certificate
from benchmarks.conditions import Condition
from benchmarks.front import open_front
from benchmarks.simulator import fill_s3sim, open_s3sim

__all__ = (
    "BUCKET",
    "ROOT",
    "ExistingBucket",
    "FrontedServer",
    "OwnServer",
    "Server",
    "behind_front",
    "client_of",
    "open_server",
)

BUCKET: Final = "aios3sync-bench"
ROOT: Final = "bench"
"""All keys begin with it."""

_PER_FOLDER: Final = 1000


class Server(Protocol):
    """An endpoint that can be emptied and filled.

    Attributes:
        label: its name, and its options if they matter.
        etags: the ETag of a single PUT is the MD5 of its body.
        authority: the certificate authority that contenders are to trust, for TLS.
    """

    label: str
    etags: bool
    authority: Path | None

    @property
    def endpoint(self) -> Endpoint:
        """URL and credentials for contenders; the URL changes with each ``reset``."""
        ...

    @property
    def near(self) -> Endpoint:
        """The same for what is not measured, without the latency and the TLS of a front."""
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

    def rest(self) -> None:
        """Free the memory that the runs have taken; ``reset`` begins again."""
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
        self.authority: Path | None = None
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

    @property
    def near(self) -> Endpoint:
        """See Server."""
        return self.endpoint

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
            fill_s3sim(self.endpoint, f"{prefix}/", BUCKET, count)
            return True
        return False

    def rest(self) -> None:
        """See Server."""
        self.close()

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
        self.authority: Path | None = None
        self.endpoint = self.near = endpoint
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

    def rest(self) -> None:
        """See Server."""
        self.reset()

    def close(self) -> None:
        """See Server."""
        self.reset()
        if self._is_ours:
            self._client.delete_bucket(Bucket=self._bucket)
        self._client.close()


class FrontedServer:
    """A server with a front that adds TLS, latency or both.

    Args:
        server: it speaks plain HTTP.
        certificate: for TLS; ``None`` for a front of plain HTTP.
        latency_ms: how long each response waits.
    """

    def __init__(self, server: Server, certificate: Certificate | None, latency_ms: int) -> None:
        self.label = server.label
        self.etags = server.etags
        self.authority = certificate.authority if certificate else None
        self._server = server
        self._certificate = certificate
        self._latency_ms = latency_ms
        self._running = ExitStack()
        self._endpoint: Endpoint | None = None

    @property
    def endpoint(self) -> Endpoint:
        """See Server."""
        if self._endpoint is None:
            raise RuntimeError("reset() starts the front")
        return self._endpoint

    @property
    def near(self) -> Endpoint:
        """See Server."""
        return self._server.near

    def reset(self) -> None:
        """See Server."""
        self._stop_front()
        self._server.reset()
        self._start_front()

    def fill(self, prefix: str, count: int) -> bool:
        """See Server."""
        self._stop_front()
        try:
            return self._server.fill(prefix, count)
        finally:
            self._start_front()

    def rest(self) -> None:
        """See Server."""
        self._stop_front()
        self._server.rest()

    def close(self) -> None:
        """See Server."""
        self._stop_front()
        self._server.close()

    def _start_front(self) -> None:
        near = self._server.endpoint
        _, chain, key = self._certificate or (None, None, None)
        front = open_front(near.url, latency_ms=self._latency_ms, chain=chain, key=key)
        self._endpoint = replace(near, url=self._running.enter_context(front))

    def _stop_front(self) -> None:
        self._running.close()
        self._endpoint = None


def _write_objects(folder: Path, count: int) -> None:
    for number in range(count):
        below = folder / f"d{number // _PER_FOLDER:04}"
        if number % _PER_FOLDER == 0:
            below.mkdir(parents=True)
        (below / f"o{number:07}").write_bytes(b"%100d" % number)


def open_server(
    kind: str,
    place: Path,
    program: Path | None,
    options: Sequence[str],
    condition: Condition,
    certificate: Certificate | None,
) -> Server:
    """Return the server that ``--server`` names under one condition, not started yet."""
    data = place / "server"
    latency_ms = condition.latency_ms
    server: Server
    if kind == "seaweedfs":
        server = OwnServer("SeaweedFS", start_seaweedfs, data)
    elif kind == "s3sim":
        if program is None:
            raise ValueError("--server s3sim needs --s3sim PATH, the compiled simulator")
        # It delays its responses by itself, at less cost than a front.
        words = [*options, "--latency-ms", str(latency_ms)] if latency_ms else list(options)
        latency_ms = 0
        label = " ".join(("s3sim", *options))
        etags = "--no-md5" not in options
        server = OwnServer(label, lambda _: open_s3sim(program, words), data, etags=etags, fills="request")
    else:
        server = OwnServer("rclone serve s3", rclone_serve, data, fills="files")
    return behind_front(server, certificate if condition.tls else None, latency_ms)


def behind_front(server: Server, certificate: Certificate | None, latency_ms: int) -> Server:
    """Return the server with a front, if it needs one."""
    if certificate is None and not latency_ms:
        return server
    return FrontedServer(server, certificate, latency_ms)
