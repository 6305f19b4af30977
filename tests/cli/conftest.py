"""The command line as a process of its own, and a fresh bucket for each test."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import orjson
import pytest
from botocore.config import Config

from aios3sync.testing.servers import Endpoint

_NUMBERS = itertools.count()


@dataclass
class Bucket:
    """A bucket on a server, as another client sees it."""

    endpoint: Endpoint
    name: str
    client: Any

    def url(self, prefix: str = "") -> str:
        return f"s3://{self.name}/{prefix}"

    def keys(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {item["Key"] for page in pages for item in page.get("Contents", ())}

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def head(self, key: str) -> dict[str, Any]:
        return dict(self.client.head_object(Bucket=self.name, Key=key))


@dataclass
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def error(self) -> str:
        """The one line that an error is."""
        (line,) = self.err.splitlines()
        return line.removeprefix("aios3sync: error: ")

    def json(self) -> Any:
        return orjson.loads(self.out)

    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.lines]


@dataclass
class CommandLine:
    """Runs ``python -m aios3sync`` with the settings of one server."""

    environment: dict[str, str]

    def __call__(
        self, *arguments: str | Path, stdin: bytes = b"", set_: Mapping[str, str] | None = None
    ) -> Ended:
        ended = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            env={**self.environment, **(set_ or {})},
            timeout=30,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "aios3sync", *map(os.fspath, arguments)]

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(*arguments), env=self.environment, **options)


def boto(endpoint: Endpoint) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )


@pytest.fixture(scope="session")
def make_bucket() -> Callable[[Endpoint], Bucket]:
    """Makes a fresh bucket on a server."""

    def make(endpoint: Endpoint) -> Bucket:
        client = boto(endpoint)
        name = f"cli-{os.getpid()}-{next(_NUMBERS)}"
        client.create_bucket(Bucket=name)
        return Bucket(endpoint, name, client)

    return make


@pytest.fixture
def bucket(moto: Endpoint, make_bucket: Callable[[Endpoint], Bucket]) -> Bucket:
    """A fresh bucket on moto."""
    return make_bucket(moto)


@pytest.fixture
def cli(moto: Endpoint, isolated: Path) -> CommandLine:
    """The command line, pointed to moto."""
    return CommandLine({**os.environ, **moto.environment(), "XDG_STATE_HOME": str(isolated)})


@pytest.fixture
def offline(isolated: Path) -> CommandLine:
    """The command line without any server: nobody listens, and there are no credentials."""
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_DEFAULT_REGION": "us-east-1"}
    return CommandLine({**os.environ, **nowhere, "XDG_STATE_HOME": str(isolated)})


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A small directory, old enough that its stats are trusted."""
    root = tmp_path / "data"
    for name, text in {"a.txt": "alpha", "b.txt": "beta", "sub/c.html": "<p>gamma</p>"}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    yield root
