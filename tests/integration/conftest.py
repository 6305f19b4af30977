"""Buckets on real servers, and an independent client that reads them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from anyio import to_thread
from botocore.config import Config

import aios3sync
from aios3sync.testing.servers import Endpoint
from tests.clients import boto3_client

_NUMBERS = itertools.count()


@dataclass
class Place:
    """A fresh bucket on one server."""

    endpoint: Endpoint
    bucket: str
    client: Any
    session: aios3sync.Session

    def url(self, prefix: str = "") -> str:
        return f"s3://{self.bucket}/{prefix}"

    async def read(self, prefix: str = "") -> dict[str, bytes]:
        """Every object below the prefix, as boto3 sees it."""
        return await to_thread.run_sync(self._read, prefix)

    def _read(self, prefix: str) -> dict[str, bytes]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {
            key.removeprefix(prefix): self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for key in keys
        }


def boto(endpoint: Endpoint) -> Any:
    return boto3_client(
        endpoint,
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture(params=["seaweedfs", "moto"])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """Each of the servers, started when it is first used."""
    started: Endpoint = request.getfixturevalue(request.param)
    return started


@pytest.fixture
async def place(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """A bucket on each of the servers."""
    for name, value in endpoint.environment().items():
        monkeypatch.setenv(name, value)
    bucket = f"place-{next(_NUMBERS)}"
    client = await to_thread.run_sync(boto, endpoint)
    await to_thread.run_sync(lambda: client.create_bucket(Bucket=bucket))
    async with aios3sync.connect() as session:
        yield Place(endpoint, bucket, client, session)
    client.close()
