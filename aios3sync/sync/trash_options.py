"""Where the objects go that a sync deletes from a bucket: a place is refused that would be synced as well."""

from __future__ import annotations

from aios3sync.core.keys import SCHEME, Location
from aios3sync.errors import UsageError

__all__ = ("check_trash",)


def check_trash(trash: str, target: Location, source: Location | None) -> None:
    """Look at where the objects go that a sync deletes from a bucket.

    Args:
        trash: as it was given.
        target: of the sync.
        source: of the sync, if it is a bucket at the same endpoint.

    Raises:
        UsageError: it is no place in a bucket, or one side is in it or the other way round.
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
