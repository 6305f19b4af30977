"""The contract of the seam on the wire transport: moto, SeaweedFS, and SeaweedFS with TLS."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aioboto3
import pytest
import pytest_asyncio
from anyio import create_task_group

from aios3sync.core.endpoints import AWS
from aios3sync.options import ConnectOptions
from aios3sync.store.boto import open_client
from aios3sync.store.protocol import ObjectStore
from aios3sync.store.s3.endpoint import capabilities_at
from aios3sync.store.wire.store import open_wire
from aios3sync.store.wire.transport import WireTransport
from tests.store.contracts import OnMoto, OnSeaweedFS, emptied

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aios3sync.testing.servers import Endpoint

# One loop for the module: it keeps the one client and the connections that all tests of a server share.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def stores(endpoint: Endpoint, url: str = "", **options: Any) -> AsyncIterator[Callable[[str], Any]]:
    """Opens stores of buckets; the contract's own bucket exists then."""
    session = aioboto3.Session(
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
    )
    connect = ConnectOptions(endpoint_url=url or endpoint.url, **options)
    async with AsyncExitStack() as closing:
        client = await closing.enter_async_context(open_client(connect, session))
        transport = await WireTransport.open(client, connect)
        closing.push_async_callback(transport.aclose)
        names = [bucket["Name"] for bucket in (await client.list_buckets())["Buckets"]]
        for missing in {"wire", "wire-other"}.difference(names):
            await client.create_bucket(Bucket=missing)

        async def store_of(bucket: str) -> ObjectStore:
            return await open_wire(transport, bucket, capabilities_at(connect.endpoint_url or AWS, bucket))

        yield store_of


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def moto_stores(moto: Endpoint) -> AsyncIterator[Callable[[str], Any]]:
    async with stores(moto) as store_of:
        yield store_of


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seaweedfs_stores(seaweedfs: Endpoint) -> AsyncIterator[Callable[[str], Any]]:
    async with stores(seaweedfs) as store_of:
        yield store_of


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tls_stores(seaweedfs: Endpoint, authority: Any) -> AsyncIterator[Callable[[str], Any]]:
    """SeaweedFS and a TLS forwarder: what is signed is the address of the forwarder."""
    target = int(seaweedfs.url.rpartition(":")[2])

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", target)
        async with create_task_group() as group:
            group.start_soon(pump, reader, server_writer)
            group.start_soon(pump, server_reader, writer)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while received := await reader.read(65536):
                writer.write(received)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(forward, "127.0.0.1", ssl=authority.server)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with stores(seaweedfs, url, ca_bundle=str(authority.bundle)) as store_of:
            yield store_of


class TestWireStoreOnMoto(OnMoto):
    @pytest_asyncio.fixture(loop_scope="module")
    async def store(self, moto_stores: Callable[[str], Any]) -> ObjectStore:
        return await emptied(await moto_stores("wire"))

    @pytest_asyncio.fixture(loop_scope="module")
    async def other(self, moto_stores: Callable[[str], Any]) -> ObjectStore:
        return await emptied(await moto_stores("wire-other"))

    @pytest_asyncio.fixture(loop_scope="module")
    async def absent(self, moto_stores: Callable[[str], Any]) -> Any:
        return await moto_stores("does-not-exist")


@pytest.mark.server
class TestWireStoreOnSeaweedFS(OnSeaweedFS):
    @pytest_asyncio.fixture(loop_scope="module")
    async def store(self, seaweedfs_stores: Callable[[str], Any]) -> ObjectStore:
        return await emptied(await seaweedfs_stores("wire"))

    @pytest_asyncio.fixture(loop_scope="module")
    async def other(self, seaweedfs_stores: Callable[[str], Any]) -> ObjectStore:
        return await emptied(await seaweedfs_stores("wire-other"))

    @pytest_asyncio.fixture(loop_scope="module")
    async def absent(self, seaweedfs_stores: Callable[[str], Any]) -> Any:
        return await seaweedfs_stores("does-not-exist")


@pytest.mark.server
class TestWireStoreOverTLS(OnSeaweedFS):
    serves_urls = False  # what fetches them here does not know the authority

    @pytest_asyncio.fixture(loop_scope="module")
    async def store(self, tls_stores: Callable[[str], Any]) -> ObjectStore:
        return await emptied(await tls_stores("wire"))

    @pytest_asyncio.fixture(loop_scope="module")
    async def other(self, tls_stores: Callable[[str], Any]) -> ObjectStore:
        return await emptied(await tls_stores("wire-other"))

    @pytest_asyncio.fixture(loop_scope="module")
    async def absent(self, tls_stores: Callable[[str], Any]) -> Any:
        return await tls_stores("does-not-exist")
