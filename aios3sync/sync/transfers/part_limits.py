"""Derives from a refusal the limits of multipart uploads: how many parts, and how large. Pure."""

from __future__ import annotations

import re
from typing import Final, Literal

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.parts import (
    max_part_size_from_refusal,
    max_parts_from_refusal,
    plan_part_size,
)
from aios3sync.errors import StoreError
from aios3sync.store.endpoint_profile import EndpointProfile

__all__ = ("Limit", "PartLimits", "PartRefusal", "refuses_number", "refuses_size", "with_hint")

_PARTS_EVERYWHERE: Final = 1000
_PLAUSIBLE_LIMIT: Final = 100
"""A lower limit that the endpoint does not state is not remembered: the refusal may have another reason."""
_REFUSED: Final = frozenset(
    {"InvalidArgument", "InvalidPart", "InvalidPartNumber", "InvalidRequest", "MalformedXML", "TooManyParts"}
)
_ABOUT_SIZE: Final = re.compile(r"\b(size|large|larger|length|bytes)\b", re.IGNORECASE)
_TOO_LARGE: Final = 413


class Limit(NamedTuple):
    """A limit for which an upload was refused.

    Attributes:
        fact: its name in :class:`PartLimits` and in the profile of the endpoint.
        value: the number of parts, or the bytes of one.
        certain: whether it is remembered if the file is stored with it.
    """

    fact: Literal["max_parts", "max_part_size"]
    value: int
    certain: bool


class PartLimits(NamedTuple):
    """The most parts of one object, and the most bytes of a part."""

    max_parts: int
    max_part_size: int

    @classmethod
    def known(cls, given: int, profile: EndpointProfile) -> PartLimits:
        """Return the limits of an endpoint; ``given`` is the number of parts that the user gave, or 0."""
        return cls(given or profile.max_parts, profile.max_part_size)

    def part_size(self, size: int, wanted: int) -> int:
        """Return the part size for ``size`` bytes within these limits."""
        return plan_part_size(size, wanted, self.max_parts, self.max_part_size)

    def below(self, limit: Limit) -> PartLimits:
        """Return these limits with one of them lowered."""
        if limit.fact == "max_parts":
            return self._replace(max_parts=limit.value)
        return self._replace(max_part_size=limit.value)


class PartRefusal(NamedTuple):
    """The refusal of an upload.

    Attributes:
        error: the response of the endpoint.
        size: bytes of the object.
        part_size: bytes of its parts.
        stored: the highest number of a stored part, 0 if there is none.
        refused: the lowest number of a part whose number was refused, 0 if there is none.
    """

    error: StoreError
    size: int
    part_size: int
    stored: int
    refused: int

    def limit(self, limits: PartLimits) -> Limit | None:
        """Return the limit that the upload exceeded; ``None`` if it is unknown or too low for the object."""
        if refuses_size(self.error):
            refused = min(self.size, self.part_size)
            least = limits.part_size(self.size, 1)
            largest = max_part_size_from_refusal(self.error.message, refused, least)
            return Limit("max_part_size", largest, certain=True) if largest else None
        most, stated = self._most_parts()
        return Limit("max_parts", most, certain=stated or most >= _PLAUSIBLE_LIMIT) if most else None

    def _most_parts(self) -> tuple[int, bool]:
        """Return how many parts the endpoint accepts if there were too many, else 0, and whether it said so.

        Scaleway takes 1,000 (https://www.scaleway.com/en/docs/object-storage/api-cli/multipart-uploads/), and
        refuses the number of a part. Others refuse when the parts are joined; they accept at least 1,000.
        """
        error, stored = self.error, self.stored
        if not refuses_number(error):
            return 0, False
        if self.refused:
            return max_parts_from_refusal(error.message, stored, self.refused)
        if error.operation == "CompleteMultipartUpload" and stored > _PARTS_EVERYWHERE:
            return max_parts_from_refusal(error.message, _PARTS_EVERYWHERE, stored)
        return 0, False


def refuses_size(error: StoreError) -> bool:
    """Return whether the endpoint refused the size of a part; a proxy does so with status 413."""
    if error.operation != "UploadPart":
        return False
    if error.code == "EntityTooLarge" or error.status == _TOO_LARGE:
        return True
    said = error.message.rpartition(": ")[2]  # without the key
    return error.code in _REFUSED and error.status == 400 and bool(_ABOUT_SIZE.search(said))


def refuses_number(error: StoreError) -> bool:
    """Return whether the endpoint may have refused the number or the count of parts."""
    verb = error.operation in ("UploadPart", "CompleteMultipartUpload")
    return verb and error.code in _REFUSED and error.status == 400 and not refuses_size(error)


def with_hint(error: StoreError, limits: PartLimits) -> StoreError:
    """Return ``error``, with a hint if it is about the number or the size of parts."""
    if refuses_number(error):
        error.message += "; give a larger --part-size, or --max-parts as the endpoint documents it"
    elif refuses_size(error):
        error.message += (
            f"; give a smaller --part-size if {limits.max_parts:,} such parts hold the file: "
            "none that was tried is accepted"
        )
    return error
