"""CopyPlan: where the copies of one run come from, and with which headers they are stored."""

from __future__ import annotations

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.core.entries import TargetEntry
from aios3sync.store.protocol import CopySource, HeadResult, ObjectStore, PutOptions
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.headers import HeaderPlan
from aios3sync.sync.transfers.kept import TagReader, keeping

__all__ = ("CopyPlan",)


@dataclass(slots=True)
class CopyPlan:
    """How the copies of one run are made.

    Attributes:
        run: the run.
        headers: the headers that the options set.
        on_server: the endpoint of the target reads the source itself; False once it has refused to.
    """

    run: Run
    headers: HeaderPlan
    on_server: bool = field(init=False)
    _tags: TagReader = field(init=False)

    def __post_init__(self) -> None:
        self.on_server = self.run.resources.copies_on_server
        self._tags = TagReader(self.run.builder.warn)

    @property
    def keeps_metadata(self) -> bool:
        """Whether metadata and content headers are those of the source."""
        return self.run.options.metadata_directive == "copy"

    def source_key(self, key: str) -> str:
        """Return the key in the bucket of the source."""
        location = self.run.request.source_location
        return key if location is None else location.prefix + key

    def source_of(self, source: TargetEntry) -> CopySource:
        """Return the source of a CopyObject, with the version that was listed as its condition."""
        location = self.run.request.source_location
        bucket = "" if location is None else location.bucket
        customer_key = self.run.options.source_sse_customer_key
        key = self.source_key(source.key)
        return CopySource(key, bucket, source.etag, customer_key, version_id=source.version_id)

    async def source_store(self) -> ObjectStore:
        """Return the store of the source."""
        opener = self.run.resources.open_source_store
        assert opener is not None  # noqa: S101 - there was no listing without it
        return await opener()

    def asked(self, key: str) -> PutOptions:
        """Return the headers that the options set for a key, whatever the source has."""
        return self.headers.header_set(key).base

    async def options(self, store: ObjectStore, source: TargetEntry, head: HeadResult) -> PutOptions:
        """Return the headers of a copy, where the endpoint does not take them from the source.

        Args:
            store: of the source.
            source: as it was listed.
            head: its facts.
        """
        key = source.key
        if self.keeps_metadata:
            options = keeping(self.asked(key), head)
        else:
            options = self.headers.for_replacement(key, head)
        if options.tags:
            return options
        tags = await self._tags.tags(store, self.source_key(key), source.version_id)
        return replace(options, tags=tags)
