"""The headers of uploads: content type, metadata, and those that the caller sets. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from aios3sync._dataclass import dataclass, field, replace
from aios3sync._typing import Any, Final
from aios3sync.core.entries import SourceEntry
from aios3sync.core.header_rules import HeaderRule, read_header_rules
from aios3sync.core.media_types import content_type_of, is_text
from aios3sync.core.metadata import (
    META_MD5,
    META_MTIME,
    META_ORIGINAL_MD5,
    META_ORIGINAL_SIZE,
    rclone_md5,
    rclone_mtime,
)
from aios3sync.options import SyncOptions, payer_of
from aios3sync.store.protocol import HeadResult, PutOptions

__all__ = (
    "NO_HEADERS",
    "HeaderPlan",
    "HeaderSet",
)

NO_HEADERS: Final = "-"
"""The digest where no headers are set; an empty digest is that of a row whose headers are not known."""
_OWN_DIGESTS: Final = (META_MD5, META_ORIGINAL_MD5, META_ORIGINAL_SIZE)
_CUSTOMER_ENCRYPTION: Final = "SSE-C"

_CHARSET: Final = "; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HeaderSet:
    """The headers that the options set for some keys, without those that depend on the single file.

    Attributes:
        base: all but the content type.
        content_type: for each of the keys; empty where it is guessed, or none is sent.
        guess: whether a content type is guessed by extension where none is given.
    """

    base: PutOptions
    content_type: str
    guess: bool
    _digests: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """A short value that differs where the headers differ; NO_HEADERS where there are none.

        It covers the headers that were set, not those that were guessed: another table of types changes no
        object.
        """
        if not self._digests:
            self._digests.append(self._digest())
        return self._digests[0]

    def _digest(self) -> str:
        base = self.base
        asked = {
            "type": self.content_type or ("" if self.guess else "none"),
            "cache": base.cache_control,
            "disposition": base.content_disposition,
            "language": base.content_language,
            "expires": base.expires,
            "metadata": sorted(base.metadata.items()),
            "class": base.storage_class,
            "sse": [base.sse, base.sse_kms_key_id] if base.sse else [],
            "acl": base.acl,
            "tags": sorted(base.tags.items()),
        }
        given = {name: value for name, value in asked.items() if value}
        if not given:
            return NO_HEADERS
        import hashlib
        import json

        text = json.dumps(given, sort_keys=True).encode()
        return hashlib.blake2b(text, digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class HeaderPlan:
    """Makes the :class:`PutOptions` of each upload; headers that many keys share are made once.

    Attributes:
        common: the headers of every key that no rule and no override matches.
        rules: headers by pattern; where several rules set the same header, the last matching rule counts.
        overrides: content types and metadata of single keys, which take precedence.
        charset: of guessed types of text, see :class:`~aios3sync.options.SyncOptions`.
    """

    common: HeaderSet
    rules: tuple[HeaderRule, ...] = ()
    overrides: Mapping[str, PutOptions] = field(default_factory=dict)
    charset: str = "auto"
    _by_rules: dict[tuple[HeaderRule, ...], HeaderSet] = field(default_factory=dict)

    @classmethod
    def of(cls, options: SyncOptions, overrides: Mapping[str, PutOptions] | None = None) -> HeaderPlan:
        """Return the plan for the options of a run."""
        base = PutOptions(
            cache_control=options.cache_control,
            content_disposition=options.content_disposition,
            content_language=options.content_language,
            expires=options.expires,
            metadata=dict(options.metadata),
            storage_class=options.storage_class,
            sse=options.sse,
            sse_kms_key_id=options.sse_kms_key_id,
            sse_customer_key=options.sse_customer_key,
            acl=options.acl,
            tags=dict(options.tags),
            checksum=options.checksum,
            request_payer=payer_of(options.request_payer),
        )
        common = HeaderSet(base, options.content_type, options.guess_content_type)
        return cls(common, read_header_rules(options.header_for), overrides or {}, options.charset)

    @property
    def sets_headers(self) -> bool:
        """Whether headers are set for any key."""
        return not self.uniform or self.common.digest != NO_HEADERS

    @property
    def uniform(self) -> bool:
        """Whether all keys have the same headers, except guessed content types."""
        return not (self.rules or self.overrides)

    def header_set(self, key: str) -> HeaderSet:
        """Return the headers that the options set for one key."""
        if not (self.rules or self.overrides):
            return self.common
        matching = tuple(rule for rule in self.rules if rule.matches(key))
        found = self._by_rules.get(matching)
        if found is None:
            found = self._by_rules[matching] = _with_rules(self.common, matching)
        override = self.overrides.get(key)
        if override is None:
            return found
        metadata = {**found.base.metadata, **override.metadata}
        return HeaderSet(
            replace(found.base, metadata=metadata), override.content_type or found.content_type, found.guess
        )

    def unmatched_rules(self) -> list[HeaderRule]:
        """Return the rules that matched none of the keys so far."""
        matched = {rule for rules in self._by_rules for rule in rules}
        return [rule for rule in self.rules if rule not in matched]

    def digest_of(self, key: str) -> str:
        """Return the digest of the headers that the options set for one key."""
        return self.header_set(key).digest

    def type_of(self, key: str, *, utf8: bool | None = None) -> str:
        """Return the content type of a key; empty where none is sent.

        Args:
            key: relative to the prefix.
            utf8: whether the body is valid UTF-8, ``None`` where that is not known.
        """
        return self._type(self.header_set(key), key, utf8)

    def _type(self, asked: HeaderSet, key: str, utf8: bool | None) -> str:
        if asked.content_type or not asked.guess:
            return asked.content_type
        found = content_type_of(key)
        if self.charset == "none" or not is_text(found):
            return found
        # rclone and s5cmd name UTF-8 for every text, because Go's table of types does. Without a charset a
        # browser guesses one, which is right for a body that is known to be no UTF-8.
        return found if utf8 is False and self.charset == "auto" else found + _CHARSET

    def detects_charset(self, key: str) -> bool:
        """Whether the content of a key's file decides which charset its type names."""
        asked = self.header_set(key)
        guessed = asked.guess and not asked.content_type
        return guessed and self.charset == "auto" and is_text(content_type_of(key))

    @property
    def makes_opaque_etags(self) -> bool:
        """Whether the chosen encryption makes ETags that prove nothing about the content."""
        base = self.common.base
        return bool(base.sse_customer_key) or base.sse.startswith("aws:kms")

    def for_upload(
        self,
        entry: SourceEntry,
        *,
        encoding: str = "",
        original_md5: str = "",
        stored_md5: str = "",
        utf8: bool | None = None,
    ) -> PutOptions:
        """Return what to send with one file.

        Args:
            entry: the file as it was read.
            encoding: ``gzip`` or empty.
            original_md5: hex digest of the file, written to our own metadata if the body is compressed.
            stored_md5: hex digest of the body as stored, written as rclone does if the ETag proves nothing.
            utf8: whether the file is valid UTF-8, ``None`` where that is not known.
        """
        asked = self.header_set(entry.key)
        metadata = {**asked.base.metadata, META_MTIME: rclone_mtime(entry.mtime_ns)}
        if encoding:
            metadata[META_ORIGINAL_MD5] = original_md5
            metadata[META_ORIGINAL_SIZE] = str(entry.size)
        if stored_md5:
            metadata[META_MD5] = rclone_md5(stored_md5)
        return _replaced(asked.base, self._type(asked, entry.key, utf8), encoding, metadata)

    def for_replacement(self, key: str, head: HeadResult) -> PutOptions:
        """Return the headers of a copy to another place that has other headers than its source.

        Headers that describe the bytes stay: encoding, the digests in our own metadata, the mtime, and a
        content type that is not replaced.

        Args:
            key: relative to the prefix.
            head: the source.
        """
        asked = self.header_set(key)
        own = {name: head.metadata[name] for name in (META_MTIME, *_OWN_DIGESTS) if name in head.metadata}
        metadata = {**asked.base.metadata, **own}
        content_type = asked.content_type or head.content_type
        return _replaced(asked.base, content_type, head.content_encoding, metadata)

    def for_copy(self, entry: SourceEntry, head: HeadResult) -> PutOptions:
        """Return the headers of a copy of an object onto itself, which sets those of the options.

        All others stay as they are: encoding, storage class (a copy would fall back to STANDARD),
        encryption, the digests in our own metadata, and a guessed content type, which may name the charset
        that was found at the upload.

        Args:
            entry: the file that was uploaded as the object.
            head: the object as it is.
        """
        asked = self.header_set(entry.key)
        own = {name: head.metadata[name] for name in _OWN_DIGESTS if name in head.metadata}
        metadata = {**asked.base.metadata, META_MTIME: rclone_mtime(entry.mtime_ns), **own}
        content_type = self.type_of(
            entry.key, utf8=False
        )  # the content is not read, so no charset is claimed
        bare = _without_parameters(content_type)
        if not asked.content_type and _without_parameters(head.content_type) == bare:
            content_type = head.content_type
        options = _replaced(asked.base, content_type, head.content_encoding, metadata)
        kept: dict[str, Any] = {} if options.storage_class else {"storage_class": head.storage_class}
        if not options.sse and head.encryption != _CUSTOMER_ENCRYPTION:
            kept |= {"sse": head.encryption, "sse_kms_key_id": head.kms_key_id}
        return replace(options, **kept)


def _without_parameters(content_type: str) -> str:
    return content_type.partition(";")[0].strip()


def _with_rules(common: HeaderSet, rules: tuple[HeaderRule, ...]) -> HeaderSet:
    """Return the headers of keys that match exactly these rules."""
    values: dict[str, Any] = {}
    metadata = dict(common.base.metadata)
    for rule in rules:
        if rule.field != "metadata":
            values[rule.field] = rule.value
        elif rule.value:
            metadata[rule.name] = rule.value
        else:
            metadata.pop(rule.name, None)
    content_type = values.pop("content_type", common.content_type)
    return HeaderSet(replace(common.base, metadata=metadata, **values), content_type, common.guess)


def _replaced(base: PutOptions, content_type: str, encoding: str, metadata: dict[str, str]) -> PutOptions:
    # Spelled out, because this is done for every file: dataclasses.replace() takes five times as long.
    return PutOptions(
        content_type,
        encoding,
        base.cache_control,
        base.content_disposition,
        base.content_language,
        base.expires,
        metadata,
        base.storage_class,
        base.sse,
        base.sse_kms_key_id,
        base.sse_customer_key,
        base.acl,
        base.tags,
        base.checksum,
        base.request_payer,
    )
