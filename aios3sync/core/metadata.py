"""Reads and writes the metadata of objects that holds a digest, a size or a time of the file. Pure.

Sources: https://rclone.org/s3/ (``mtime`` and ``md5chksum``), ``s3cmd-attrs`` of s3cmd. See ``mtimes.py``.
"""

from __future__ import annotations

import binascii

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = (
    "META_MD5",
    "META_MTIME",
    "META_ORIGINAL_MD5",
    "META_ORIGINAL_SIZE",
    "rclone_md5",
    "rclone_mtime",
    "recorded_md5",
)

META_MTIME: Final = "mtime"
META_MD5: Final = "md5chksum"
META_ORIGINAL_MD5: Final = "aios3sync-md5"
META_ORIGINAL_SIZE: Final = "aios3sync-size"
_MD5_BYTES: Final = 16

_OWN_MD5 = lazy_pattern(r"[0-9a-f]{32}")
_S3CMD_MD5 = lazy_pattern(r"(?:^|/)md5:([0-9a-f]{32})(?:/|$)")


def rclone_mtime(mtime_ns: int) -> str:
    """Return a file's mtime as rclone writes it: seconds with nine decimals."""
    sign = "-" if mtime_ns < 0 else ""
    seconds, nanoseconds = divmod(abs(mtime_ns), 1_000_000_000)
    return f"{sign}{seconds}.{nanoseconds:09d}"


def rclone_md5(md5: str) -> str:
    """Return a hex digest as rclone writes it: base64 of the 16 bytes."""
    return binascii.b2a_base64(bytes.fromhex(md5), newline=False).decode("ascii")


def recorded_md5(metadata: Mapping[str, str]) -> str:
    """Return the hex MD5 of the original content from user metadata, or an empty string.

    These are read: our own ``aios3sync-md5`` (the content before gzip), rclone's ``md5chksum`` and the
    ``md5`` of ``s3cmd-attrs``; in this order, because the latter two describe the body as stored.
    """
    own = metadata.get(META_ORIGINAL_MD5, "")
    if _OWN_MD5.fullmatch(own):
        return own
    try:
        digest = binascii.a2b_base64(metadata.get(META_MD5, ""), strict_mode=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) == _MD5_BYTES:
        return digest.hex()
    match = _S3CMD_MD5.search(metadata.get("s3cmd-attrs", ""))
    return match[1] if match else ""
