"""What copies of objects are stored with, and how it is found out that they are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import Proof, is_opaque_encryption, proof, same_etag
from aios3sync.errors import AccessDeniedError, IntegrityError, StoreError
from aios3sync.store.protocol import CopySource, HeadResult, ObjectStore, PutOptions, PutResult
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.headers import HeaderPlan

__all__ = ("CopyPlan", "is_refused_on_server", "verified")

_NOT_OFFERED: Final = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})


@dataclass(slots=True)
class CopyPlan:
    """How the copies of one run are made.

    Attributes:
        run: the run.
        headers: what is asked for.
        on_server: the endpoint of the target may read the source itself; False once it has refused to.
    """

    run: Run
    headers: HeaderPlan
    on_server: bool = field(init=False)
    _without_tags: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.on_server = self.run.resources.copies_on_server

    @property
    def keeps_metadata(self) -> bool:
        """Whether metadata and content headers are those of the source."""
        return self.run.options.metadata_directive == "copy"

    def source_key(self, key: str) -> str:
        """Return the key in the bucket of the source."""
        location = self.run.request.source_location
        return key if location is None else location.prefix + key

    def source_of(self, source: TargetEntry, start: int = 0, length: int = 0) -> CopySource:
        """Return what the endpoint is asked to copy: the version that was listed, or nothing."""
        location = self.run.request.source_location
        bucket = "" if location is None else location.bucket
        customer_key = self.run.options.source_sse_customer_key
        return CopySource(self.source_key(source.key), bucket, source.etag, customer_key, start, length)

    async def source_store(self) -> ObjectStore:
        """Return the store of the source."""
        opener = self.run.resources.open_source_store
        assert opener is not None  # noqa: S101 - there was no listing without it
        return await opener()

    def asked(self, key: str) -> PutOptions:
        """Return what is asked for a key, whatever the source has."""
        return self.headers.header_set(key).base

    async def options(self, store: ObjectStore, key: str, head: HeadResult) -> PutOptions:
        """Return what a copy is stored with, where it is not the endpoint that takes it from the source.

        Args:
            store: of the source.
            key: relative to the prefix.
            head: the source.
        """
        if not self.keeps_metadata:
            options = self.headers.for_replacement(key, head)
        else:
            options = replace(
                self.asked(key),
                content_type=head.content_type,
                content_encoding=head.content_encoding,
                cache_control=head.cache_control,
                content_disposition=head.content_disposition,
                content_language=head.content_language,
                expires=head.expires,
                metadata=head.metadata,
            )
        if options.tags:
            return options
        return replace(options, tags=await self._tags(store, key))

    async def _tags(self, store: ObjectStore, key: str) -> Mapping[str, str]:
        """Return the tags of the source; not every endpoint says with an object whether it has some."""
        if self._without_tags:
            return {}
        try:
            return await store.tags(self.source_key(key))
        except StoreError as error:
            if not (isinstance(error, AccessDeniedError) or error.code in _NOT_OFFERED):
                raise
            self._without_tags = True
            if isinstance(error, AccessDeniedError) and not self.run.is_hopeless(error):
                self.run.builder.warn(f"copies through this machine have no tags: {error}")
            return {}


def is_refused_on_server(run: Run, error: StoreError) -> bool:
    """Whether the endpoint of the target may not or cannot read the source, which this machine may."""
    if error.code in _NOT_OFFERED:
        return True
    return isinstance(error, AccessDeniedError) and not run.is_hopeless(error)


async def verified(run: Run, source: TargetEntry, result: PutResult) -> PutResult:
    """Return the result of a copy that has the ETag of its source, or its size where ETags prove nothing.

    Raises:
        IntegrityError: the copy has another size.
    """
    if result.etag and is_same(run, source, result):
        return result
    store, key = await run.resources.open_store(), run.full_key(source.key)
    head = await store.head(key)
    if head.size != source.size:
        raise IntegrityError(
            f"the copy of {key!r} has {head.size} bytes, its source {source.size}",
            operation="CopyObject",
            bucket=store.bucket,
            key=key,
            code="SizeMismatch",
        )
    return result._replace(etag=head.etag)


def is_same(run: Run, source: TargetEntry, result: PutResult) -> bool:
    """Whether two equal ETags prove that the copy is its source."""
    opaque = run.policy.opaque_etags or is_opaque_encryption(result.encryption)
    return proof(source.etag, opaque=opaque) is not Proof.NOTHING and same_etag(source.etag, result.etag)
