"""The command line as a process of its own, and a fresh bucket for each test."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import orjson
import pytest
from botocore.config import Config

from aios3sync.cli.main import run
from aios3sync.testing.servers import Endpoint
from tests.clients import boto3_client

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
    """Runs the program with the settings of one server: in this process, or as one of its own.

    In this process it takes a tenth of the time, because botocore is loaded once.
    """

    environment: dict[str, str]
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> Ended:
        self.capture.readouterr()
        with self.patch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin)))
            code = run([os.fspath(argument) for argument in arguments])
        return Ended(code, *self.capture.readouterr())

    def process(
        self, *arguments: str | Path, stdin: bytes = b"", set_: Mapping[str, str] | None = None
    ) -> Ended:
        ended = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            env={**self.environment, **(set_ or {})},
            timeout=240,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "aios3sync", *(os.fspath(argument) for argument in arguments)]

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(*arguments), env=self.environment, **options)


def boto(endpoint: Endpoint) -> Any:
    config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
    return boto3_client(endpoint, config=config)


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


@pytest.fixture(autouse=True)
def no_blocking() -> None:
    """In place of the library's: a command line writes to its pipe, and waits while that is full."""


@pytest.fixture
def cli(
    moto: Endpoint, isolated: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line, pointed to moto."""
    environment = {**os.environ, **moto.environment(), "XDG_STATE_HOME": str(isolated)}
    return CommandLine(environment, monkeypatch, capfd)


@pytest.fixture
def offline(
    isolated: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line without a server and without credentials."""
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = {**os.environ, **nowhere, "XDG_STATE_HOME": str(isolated)}
    return CommandLine(environment, monkeypatch, capfd)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small directory."""
    root = tmp_path / "data"
    for name, text in {"a.txt": "alpha", "b.txt": "beta", "sub/c.html": "<p>gamma</p>"}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
