"""EndpointProfile: how one endpoint differs from S3 as documented, by observation or by option. No I/O.

A fact that was observed in a response is valid for :data:`LASTS` seconds and is then observed again, so that
neither an upgrade of the endpoint nor a wrong observation has a lasting effect. A fact that the user gave
stays until the user gives another.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Any, Final, Literal
from aios3sync.core.endpoints import AWS
from aios3sync.core.parts import MAX_PART_SIZE, MAX_PARTS, MIN_PART_SIZE

__all__ = ("LASTS", "VERSION", "EndpointProfile", "Etags", "KnownFact", "profile_name")

Etags = Literal["unknown", "md5", "opaque"]
ListOrder = Literal["", "bytes", "unordered"]

VERSION: Final = 1
"""Version of the document; other versions are not read."""
LASTS: Final = 30 * 24 * 3600.0
"""Seconds that an observed fact is valid: long enough to cost nothing, short enough to correct errors."""
_CLOCK_ERROR: Final = 24 * 3600.0


class KnownFact(NamedTuple):
    """When a fact became known (seconds since the epoch), and whether the user gave it."""

    at: float
    given: bool


def profile_name(endpoint: str, bucket: str) -> str:
    """Return the name of the profile of a bucket's endpoint.

    AWS is many endpoints under one name: its directory buckets, access points and Outposts differ.
    """
    return f"{AWS}/{bucket}" if endpoint == AWS else endpoint


def _is_part_limit(value: object) -> bool:
    return type(value) is int and 0 < value <= MAX_PARTS


def _is_part_size(value: object) -> bool:
    return type(value) is int and MIN_PART_SIZE <= value <= MAX_PART_SIZE


# Fact -> whether a value that was read from a file can be one.
_FACTS: Final[Mapping[str, Callable[[object], bool]]] = {
    "etags": lambda value: value in ("md5", "opaque"),
    "batch_delete": lambda value: value is False,
    "max_parts": _is_part_limit,
    "max_part_size": _is_part_size,
    "list_v1": lambda value: value is True,
    "list_order": lambda value: value in ("bytes", "unordered"),
}


@dataclass(slots=True)
class EndpointProfile:
    """The facts; all stores of the endpoint in one session share one profile and update it.

    Attributes:
        endpoint: its name; for AWS, whose buckets differ in kind, with the bucket.
        etags: whether the ETag of a body is its MD5; ``unknown`` until the first response.
        batch_delete: whether the endpoint supports DeleteObjects.
        max_parts: the most parts of one object.
        max_part_size: the most bytes of one part with which a file was stored after larger ones were refused.
        list_v1: whether the endpoint responds to ListObjectsV2 with pages of ListObjects.
        list_order: ``bytes`` where the user knows that listings are in UTF-8 byte order; ``unordered`` where
            a listing was seen that is not.
        known: since when each fact that differs from S3's documentation is known.
        forgotten: facts that are not read from a file.
        changed: whether any fact is known that was not read from a file.
        clock: seconds since the epoch.
    """

    endpoint: str = ""
    etags: Etags = "unknown"
    batch_delete: bool = True
    max_parts: int = MAX_PARTS
    max_part_size: int = MAX_PART_SIZE
    list_v1: bool = False
    list_order: ListOrder = ""
    known: dict[str, KnownFact] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    changed: bool = False
    clock: Callable[[], float] = time.time

    @property
    def certain_md5(self) -> bool:
        """Whether an ETag other than the MD5 proves other bytes: at AWS, and where the user says so."""
        known = self.known.get("etags")
        return self.etags == "md5" and (known is None or known.given)

    def record(self, fact: str, value: Any, *, given: bool = False) -> None:
        """Set a fact. A fact that the user gave is not changed by a response."""
        known = self.known.get(fact)
        if known is not None and known.given and not given:
            return
        if known is not None and getattr(self, fact) == value and known.given == given:
            return
        setattr(self, fact, value)
        self.known[fact] = KnownFact(self.clock(), given)
        self.forgotten.discard(fact)
        self.changed = True

    def forget(self, fact: str) -> None:
        """Reset a fact to what S3 documents, whatever was observed or given before, also in other runs."""
        if self.known.pop(fact, None) is not None:
            setattr(self, fact, _DEFAULTS[fact])
        self.forgotten.add(fact)
        self.changed = True

    def as_document(self) -> dict[str, Any]:
        """Return the facts for a file, see :meth:`take`."""
        facts = {
            fact: {"value": getattr(self, fact), "at": known.at, "given": known.given}
            for fact, known in sorted(self.known.items())
        }
        return {"version": VERSION, "endpoint": self.endpoint, "facts": facts}

    def take(self, document: object) -> None:
        """Add the facts of a file that this session does not know yet; damaged or old ones are ignored."""
        if not isinstance(document, dict) or document.get("version") != VERSION:
            return
        facts = document.get("facts")
        if document.get("endpoint") != self.endpoint or not isinstance(facts, dict):
            return
        for fact, stored in facts.items():
            if isinstance(stored, dict) and fact in _FACTS and fact not in {*self.known, *self.forgotten}:
                self._take_fact(fact, stored)

    def _take_fact(self, fact: str, stored: dict[str, Any]) -> None:
        value, at, given = stored.get("value"), stored.get("at"), stored.get("given") is True
        if not _FACTS[fact](value) or not isinstance(at, int | float) or not math.isfinite(at):
            return
        if given or -_CLOCK_ERROR <= self.clock() - at < LASTS:
            setattr(self, fact, value)
            self.known[fact] = KnownFact(float(at), given)

    def described(self) -> list[str]:
        """Return a line of text for each fact that differs from AWS or was given."""
        return [
            _WORDS[fact](getattr(self, fact)) + (" (given)" if known.given else "")
            for fact, known in sorted(self.known.items())
            if known.given or (fact, getattr(self, fact)) != ("etags", "md5")
        ]


_DEFAULTS: Final[Mapping[str, Any]] = {
    "etags": "unknown",
    "batch_delete": True,
    "max_parts": MAX_PARTS,
    "max_part_size": MAX_PART_SIZE,
    "list_v1": False,
    "list_order": "",
}
_WORDS: Final[Mapping[str, Callable[[Any], str]]] = {
    "etags": lambda etags: "its ETags prove nothing" if etags == "opaque" else "its ETags are MD5s",
    "batch_delete": lambda _: "no DeleteObjects: keys are deleted one by one",
    "max_parts": lambda most: f"at most {most:,} parts of an object",
    "max_part_size": lambda largest: f"at most {largest:,} bytes of a part",
    "list_v1": lambda _: "listings in pages of ListObjects (V1)",
    "list_order": lambda order: (
        "listings in byte order" if order == "bytes" else "listings in no order of keys"
    ),
}
