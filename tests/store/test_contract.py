"""The contract of the seam on every implementation and every server of the test environment."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aioboto3
import pytest
import pytest_asyncio

from aios3sync.options import ConnectOptions
from aios3sync.store.boto import BotoStore, open_client
from aios3sync.testing.contract import ObjectStoreContract
from aios3sync.testing.memory import MemoryStore
from tests.store.contracts import OnMoto, OnSeaweedFS, emptied

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aios3sync.store.protocol import ObjectStore
    from aios3sync.testing.servers import Endpoint

# One loop for the module: it keeps the one client that all tests of a server share.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def opened(endpoint: Endpoint, bucket: str) -> AsyncIterator[Any]:
    session = aioboto3.Session(
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
    )
    async with open_client(ConnectOptions(endpoint_url=endpoint.url), session) as client:
        for name in (bucket, f"{bucket}-other"):
            await client.create_bucket(Bucket=name)
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def moto_client(moto: Endpoint) -> AsyncIterator[Any]:
    async with opened(moto, "contract") as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seaweedfs_client(seaweedfs: Endpoint) -> AsyncIterator[Any]:
    async with opened(seaweedfs, "contract") as client:
        yield client


class TestMemoryStore(ObjectStoreContract):
    serves_urls = False

    @pytest.fixture
    def endpoint(self) -> dict[str, MemoryStore]:
        return {}

    @pytest.fixture
    def store(self, endpoint: dict[str, MemoryStore]) -> ObjectStore:
        return MemoryStore(endpoint=endpoint)

    @pytest.fixture
    def other(self, endpoint: dict[str, MemoryStore]) -> ObjectStore:
        return MemoryStore("other", endpoint=endpoint)

    @pytest.fixture
    def absent(self) -> ObjectStore:
        store = MemoryStore()
        store.exists = False
        return store


class TestBotoStoreOnMoto(OnMoto):
    @pytest_asyncio.fixture(loop_scope="module")
    async def store(self, moto_client: Any) -> ObjectStore:
        return await emptied(BotoStore(moto_client, "contract"))

    @pytest_asyncio.fixture(loop_scope="module")
    async def other(self, moto_client: Any) -> ObjectStore:
        return await emptied(BotoStore(moto_client, "contract-other"))

    @pytest.fixture
    def absent(self, moto_client: Any) -> ObjectStore:
        return BotoStore(moto_client, "does-not-exist")


@pytest.mark.server
class TestBotoStoreOnSeaweedFS(OnSeaweedFS):
    @pytest_asyncio.fixture(loop_scope="module")
    async def store(self, seaweedfs_client: Any) -> ObjectStore:
        return await emptied(BotoStore(seaweedfs_client, "contract"))

    @pytest_asyncio.fixture(loop_scope="module")
    async def other(self, seaweedfs_client: Any) -> ObjectStore:
        return await emptied(BotoStore(seaweedfs_client, "contract-other"))

    @pytest.fixture
    def absent(self, seaweedfs_client: Any) -> ObjectStore:
        return BotoStore(seaweedfs_client, "does-not-exist")
