"""Versions, archived objects and checksums on every implementation and every server that has them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import aioboto3
import pytest
import pytest_asyncio

from aios3sync.core.endpoints import AWS
from aios3sync.options import ConnectOptions
from aios3sync.store.boto import BotoStore, open_client
from aios3sync.store.s3.endpoint import capabilities_at
from aios3sync.store.wire.store import open_wire
from aios3sync.store.wire.transport import WireTransport
from aios3sync.testing.contract import VersionedContract
from aios3sync.testing.memory import MemoryStore
from aios3sync.testing.versions import VersionHistory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aios3sync.store.protocol import ObjectStore
    from aios3sync.testing.servers import Endpoint

_NUMBERS = count()


@asynccontextmanager
async def versioned_bucket(endpoint: Endpoint, *, wire: bool) -> AsyncIterator[ObjectStore]:
    """Open a new bucket that keeps versions."""
    session = aioboto3.Session(
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
    )
    bucket, connect = f"versioned-{next(_NUMBERS)}", ConnectOptions(endpoint_url=endpoint.url)
    async with open_client(connect, session) as client:
        await client.create_bucket(Bucket=bucket)
        await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        if not wire:
            yield BotoStore(client, bucket)
            return
        transport = await WireTransport.open(client, connect)
        try:
            yield await open_wire(transport, bucket, capabilities_at(connect.endpoint_url or AWS, bucket))
        finally:
            await transport.aclose()


class TestVersionsInMemory(VersionedContract):
    @pytest.fixture
    def versioned(self) -> ObjectStore:
        store = MemoryStore()
        store.history = VersionHistory()
        return store


@pytest.fixture(params=["boto", "wire"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestVersionsOnMoto(VersionedContract):
    keeps_checksums = False

    @pytest_asyncio.fixture
    async def versioned(self, moto: Endpoint, transport: str) -> AsyncIterator[Any]:
        async with versioned_bucket(moto, wire=transport == "wire") as store:
            yield store


@pytest.mark.server
class TestVersionsOnSeaweedFS(VersionedContract):
    restores = False

    @pytest_asyncio.fixture
    async def versioned(self, seaweedfs: Endpoint, transport: str) -> AsyncIterator[Any]:
        async with versioned_bucket(seaweedfs, wire=transport == "wire") as store:
            yield store
