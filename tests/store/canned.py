"""Stores on a canned endpoint, and one request of each kind."""

from __future__ import annotations

from contextlib import asynccontextmanager
from hashlib import md5
from typing import TYPE_CHECKING, Any

from anyio import create_task_group

from aios3sync.options import ConnectOptions
from aios3sync.store.boto import BotoStore, open_client
from aios3sync.store.protocol import DeleteItem, PutOptions
from aios3sync.testing.http_server import canned_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    import aioboto3

    from aios3sync.store.protocol import ObjectStore
    from aios3sync.testing.http_server import CannedServer

BODY = b"body"
MD5 = md5(BODY, usedforsecurity=False).digest()
PLAIN = PutOptions()

REQUESTS: dict[str, Callable[[ObjectStore], Coroutine[Any, Any, object]]] = {
    "put": lambda store: store.put("key", BODY, PLAIN, md5=MD5),
    "put_part": lambda store: store.put_part("key", "id", 1, BODY, PLAIN, md5=MD5),
    "get": lambda store: store.get("key"),
    "head": lambda store: store.head("key"),
    "list_page": lambda store: store.list_page(""),
    "delete_many": lambda store: store.delete_many([DeleteItem("key")]),
}
"""Verb -> a request that a server which hangs can be sent."""


@asynccontextmanager
async def boto_store(
    session: aioboto3.Session, **options: Any
) -> AsyncIterator[tuple[CannedServer, BotoStore]]:
    """Open a canned server, and a store of its bucket ``bkt`` with botocore's client."""
    async with (
        canned_server() as server,
        open_client(ConnectOptions(endpoint_url=server.url, **options), session) as client,
    ):
        yield server, BotoStore(client, "bkt")


async def cancel_while_hanging(server: CannedServer, store: ObjectStore, verb: str) -> None:
    """Send a request that gets no response, cancel it, and wait until its connection is closed."""
    server.will(hang=True)
    async with create_task_group() as group:
        group.start_soon(REQUESTS[verb], store)
        await server.hanging.wait()
        group.cancel_scope.cancel()
    await server.hung_up.wait()
