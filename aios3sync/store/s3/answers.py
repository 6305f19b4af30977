"""Interprets responses of S3 for both transports: canned ACLs of grants, parts of an upload."""

from __future__ import annotations

from collections.abc import Iterable

from aios3sync.store.protocol import ListedPart

__all__ = ("canned_acl", "distinct_parts")


def canned_acl(grants: Iterable[tuple[str, str]]) -> str:
    """Return the canned ACL that grants the same to the groups of S3; empty where it grants them nothing.

    Args:
        grants: the URI of a grantee (empty for an account) and the permission.
    """
    granted = {(uri.rpartition("/")[2], permission) for uri, permission in grants}
    readers = {group for group, permission in granted if permission in ("READ", "FULL_CONTROL")}
    writers = {group for group, permission in granted if permission in ("WRITE", "FULL_CONTROL")}
    if "AllUsers" in readers:
        return "public-read-write" if "AllUsers" in writers else "public-read"
    return "authenticated-read" if "AuthenticatedUsers" in readers else ""


def distinct_parts(listed: Iterable[ListedPart]) -> list[ListedPart]:
    """Return parts by number, without those that are listed with several ETags, as one of these is wrong."""
    parts: dict[int, set[ListedPart]] = {}
    for part in listed:
        parts.setdefault(part.number, set()).add(part)
    return [min(same) for _, same in sorted(parts.items()) if len(same) == 1]
