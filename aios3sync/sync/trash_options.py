"""Checks the trash of a bucket: a place that would be synced itself is refused."""

from __future__ import annotations

from aios3sync.core.keys import SCHEME, Location
from aios3sync.errors import UsageError

__all__ = ("check_trash",)


def check_trash(trash: str, target: Location, source: Location | None) -> None:
    """Check the place that keeps the objects that a sync deletes from a bucket.

    Args:
        trash: as it was given.
        target: of the sync.
        source: of the sync, if it is a bucket at the same endpoint.

    Raises:
        UsageError: it is no place in a bucket, or a side contains it, or it contains a side.
    """
    if not trash.startswith(SCHEME):
        raise UsageError(
            f"trash: objects are moved on the server, so {trash!r} cannot take them; name s3://bucket/prefix"
        )
    place = Location.parse(trash)
    for side, name in ((target, "target"), (source, "source")):
        if side is None or side.bucket != place.bucket:
            continue
        if place.prefix.startswith(side.prefix):
            raise UsageError(
                f"trash: {place} is in the {name} {side}, where it would be synced; name another"
            )
        if side.prefix.startswith(place.prefix):
            raise UsageError(f"trash: the {name} {side} is in {place}: keys would be mixed up; name another")
