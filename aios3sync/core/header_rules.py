"""Reads header rules such as ``*.html:cache-control=no-cache``: one header for the keys that match. Pure.

A rule names one header: ``cache-control``, ``content-type``, ``content-disposition``, ``content-language``,
``expires``, ``storage-class``, ``acl`` or ``x-amz-meta-<name>`` for user metadata. An empty value removes the
header. The encoding of a body has no rule: the option ``gzip`` decides it.
"""

from __future__ import annotations

from aios3sync._dataclass import dataclass
from aios3sync._lazy import lazy_pattern
from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.core.filters import make_rules
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aios3sync.core.filters import Rule

__all__ = ("METADATA", "HeaderRule", "read_header_rules")

METADATA: Final = "x-amz-meta-"
_FIELDS: Final = {
    "acl": "acl",
    "cache-control": "cache_control",
    "content-disposition": "content_disposition",
    "content-language": "content_language",
    "content-type": "content_type",
    "expires": "expires",
    "storage-class": "storage_class",
}
# The pattern ends at the first colon that a known header follows: keys may hold colons and equals signs.
_RULE: Final = lazy_pattern(
    rf"(?is)(?P<pattern>.+?):(?:x-amz-(?=acl|storage-class))?"
    rf"(?P<name>{'|'.join(_FIELDS)}|{METADATA}[a-z0-9!#$&'*+.^_`|~-]+)=(?P<value>.*)"
)


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """One header for the keys that match.

    Attributes:
        rule: matches keys, as a rule of ``include`` does.
        field: the field of :class:`~aios3sync.store.protocol.PutOptions`, ``metadata`` for user metadata.
        name: of the user metadata, in lower case without ``x-amz-meta-``, else empty.
        value: of the header; empty to send none.
    """

    rule: Rule
    field: str
    name: str
    value: str

    def matches(self, key: str) -> bool:
        """Return whether the rule applies to this key (relative to the target)."""
        return self.rule.matches(key)

    def __str__(self) -> str:
        """Return the rule as it is written."""
        name = METADATA + self.name if self.name else self.field.replace("_", "-")
        return f"{self.rule.pattern}:{name}={self.value}"


def read_header_rules(texts: Iterable[str]) -> tuple[HeaderRule, ...]:
    """Read rules, in their order.

    Raises:
        UsageError: a text is not a rule; the message names the field ``header_for``.
    """
    return tuple(map(_read, texts))


def _read(text: str) -> HeaderRule:
    match = _RULE.fullmatch(text)
    if match is None:
        known = ", ".join([*_FIELDS, f"{METADATA}NAME"])
        raise UsageError(
            f"header_for: {text!r} is not PATTERN:name=value, for example '*.html:cache-control=no-cache'; "
            f"names are {known}"
        )
    name, value = match["name"].lower(), match["value"].strip()
    if not value.isprintable():
        raise UsageError(f"header_for: {text!r}: a header is one line of printable text")
    (rule,) = make_rules([("include", match["pattern"], "--header-for")])
    if name.startswith(METADATA):
        return HeaderRule(rule, "metadata", name.removeprefix(METADATA), value)
    return HeaderRule(rule, _FIELDS[name], "", value)
