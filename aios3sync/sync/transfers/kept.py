"""Keeps the metadata and tags of an object when it is copied, and verifies the copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from aios3sync._dataclass import replace
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import Proof, is_opaque_encryption, proof, same_etag
from aios3sync.errors import AccessDeniedError, IntegrityError, StoreError
from aios3sync.store.protocol import HeadResult, ObjectStore, PutOptions, PutResult
from aios3sync.sync.refusals import is_hopeless

__all__ = ("TagReader", "is_refused_on_server", "keeping", "verified")

_NOT_OFFERED: Final = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})


def keeping(asked: PutOptions, head: HeadResult) -> PutOptions:
    """Return ``asked`` with the metadata and content headers of an object, as CopyObject would keep them."""
    return replace(
        asked,
        content_type=head.content_type,
        content_encoding=head.content_encoding,
        cache_control=head.cache_control,
        content_disposition=head.content_disposition,
        content_language=head.content_language,
        expires=head.expires,
        metadata=head.metadata,
    )


class TagReader:
    """Reads the tags of objects; not every endpoint returns with an object whether it has tags.

    Args:
        warn: takes one line where reading tags is not allowed.
    """

    def __init__(self, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._refused = False

    async def tags(self, store: ObjectStore, key: str, version_id: str = "") -> Mapping[str, str]:
        """Return the tags of an object; none once they were refused.

        Raises:
            StoreError: the request failed for another reason.
        """
        if self._refused:
            return {}
        try:
            return await store.tags(key, version_id=version_id)
        except StoreError as error:
            if not (isinstance(error, AccessDeniedError) or error.code in _NOT_OFFERED):
                raise
            self._refused = True
            if isinstance(error, AccessDeniedError) and not is_hopeless(error):
                self._warn(f"copies through this machine have no tags: {error}")
            return {}


def is_refused_on_server(error: StoreError) -> bool:
    """Whether the endpoint of the target is not able or not allowed to read the source itself."""
    if error.code in _NOT_OFFERED:
        return True
    return isinstance(error, AccessDeniedError) and not is_hopeless(error)


async def verified(
    store: ObjectStore, key: str, source: TargetEntry, result: PutResult, *, opaque: bool
) -> PutResult:
    """Return the result of a copy, whose ETag, or size where ETags prove nothing, must be that of the source.

    Args:
        store: of the copy.
        key: of the copy.
        source: what was copied.
        result: the response.
        opaque: the ETags of the endpoint prove nothing.

    Raises:
        IntegrityError: the copy has another size.
    """
    if result.etag and _is_same(source, result, opaque=opaque):
        return result
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


def _is_same(source: TargetEntry, result: PutResult, *, opaque: bool) -> bool:
    """Whether two equal ETags prove that the copy is its source."""
    opaque = opaque or is_opaque_encryption(result.encryption)
    return proof(source.etag, opaque=opaque) is not Proof.NOTHING and same_etag(source.etag, result.etag)
