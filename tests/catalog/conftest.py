"""Catalogs on a store in memory with injected faults."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

import pytest

from aios3sync.catalog import Catalog, CatalogMetrics
from aios3sync.catalog.catalog import CatalogLocation
from aios3sync.catalog.layout import KINDS, Layout
from aios3sync.errors import AccessDeniedError
from aios3sync.store.protocol import ObjectStore, PutOptions
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore

INDEX = "private_datasets_index.json"


@dataclass
class Shop:
    """A bucket, its faults, and catalogs of it, each as opened by another process."""

    memory: MemoryStore = field(default_factory=lambda: MemoryStore("bucket"))
    metrics: CatalogMetrics = field(default_factory=CatalogMetrics)
    public_is_open: bool = False

    def __post_init__(self) -> None:
        self.store = FaultyStore(self.memory)

    def catalog(
        self,
        kind: str = "datasets",
        *,
        prefix: str = "",
        replicas: Sequence[ObjectStore] = (),
        environ: dict[str, str] | None = None,
        **options: Any,
    ) -> Catalog:
        layout = Layout.of(prefix, environ or {})

        def place(store: ObjectStore, acl: str = "") -> CatalogLocation:
            async def opened() -> ObjectStore:
                return store

            return CatalogLocation(store.bucket, layout, KINDS[kind], opened, acl)

        @asynccontextmanager
        async def unsigned(_: str) -> AsyncIterator[ObjectStore]:
            if not self.public_is_open:
                raise AccessDeniedError("denied", code="AccessDenied", status=403)
            yield self.memory

        main = place(self.store, options.pop("acl", ""))
        return Catalog(main, unsigned, self.metrics, replicas=[place(one) for one in replicas], **options)

    async def put(self, key: str, body: Any = b"x") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.memory.put(key, data, PutOptions(), md5=md5(data, usedforsecurity=False).digest())

    def read(self, key: str = INDEX) -> Any:
        return json.loads(self.memory.objects[key].body)


@pytest.fixture
def shop() -> Shop:
    return Shop()
