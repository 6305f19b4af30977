"""Lists the objects whose keys begin with a prefix, page by page; only a few pages are in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.listing.pages import PageReader
from aios3sync.listing.parallel import ListPlan, list_in_parallel
from aios3sync.store.protocol import ObjectStore

__all__ = ("OnPage", "list_objects")

OnPage = Callable[[Sequence[TargetEntry], Sequence[str]], None]
"""Takes the objects of a page, full keys, and its folders: CommonPrefixes, which end in ``/``."""
_PLAIN_PAGES: Final = 4
"""Pages that are read sequentially before a listing is split: each split costs requests."""


async def list_objects(store: ObjectStore, prefix: str, on_page: OnPage, *, recursive: bool) -> None:
    """List all objects whose keys begin with ``prefix``, in the order of the endpoint.

    Args:
        store: of the bucket.
        prefix: literal; it need not end in ``/``.
        on_page: called with each page, on the event loop.
        recursive: list keys at any depth; otherwise keys with a further ``/`` form one folder.

    Raises:
        StoreError: the listing did not end cleanly.
    """
    if recursive:
        await _list_all(store, prefix, on_page)
        return
    reader = PageReader(store, prefix, delimiter="/")
    while not reader.ended:
        page = await reader.next()
        on_page(page.entries, page.prefixes)


async def _list_all(store: ObjectStore, prefix: str, on_page: OnPage) -> None:
    plan = ListPlan(ordered=True, byte_order=store.capabilities.sorted_listing, plain_pages=_PLAIN_PAGES)
    send, receive = anyio.create_memory_object_stream[list[TargetEntry]](1)

    async def produce(out: MemoryObjectSendStream[list[TargetEntry]]) -> None:
        async with out:
            await list_in_parallel(store, prefix, out, plan)

    with raise_first_error():
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(produce, send)
            async for entries in receive:
                on_page(entries, ())
