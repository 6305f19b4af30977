"""Turns relative paths into object keys and back, and reads S3 locations. Pure."""

from __future__ import annotations

import unicodedata

from aios3sync._dataclass import dataclass
from aios3sync._lazy import lazy_pattern
from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    import re

__all__ = (
    "CATALOG_SCHEME",
    "MAX_KEY_BYTES",
    "SCHEME",
    "THUMBNAIL_PREFIX",
    "Location",
    "escaped",
    "fits_xml",
    "is_directory_bucket",
    "key_problem",
    "nfc",
    "parse_address",
    "parse_object",
    "stored_form",
    "thumbnails_below",
    "unescaped",
)

MAX_KEY_BYTES: Final = 1024
"""UTF-8 bytes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, with the upper case and
# underscores of old buckets and of other servers; ARNs and access point aliases are buckets as well.
_ARN = lazy_pattern(
    r"(?s)(arn:[a-z0-9-]+:s3[a-z0-9-]*:(?:[a-z0-9-]*:[0-9]+:(?:outpost[:/][A-Za-z0-9-]+[:/])?"
    r"(?:accesspoint|bucket)[:/]|::)[A-Za-z0-9._-]+)(?:/(.*))?"
)
_NOT_XML = lazy_pattern("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SCHEME: Final = "s3://"
CATALOG_SCHEME: Final = "catalog:"
"""Before the name of an entry of a catalog, as a source."""
_QUOTE: Final = "\u201b"
"""The mark of an escape, which rclone uses as well (https://rclone.org/overview/#encoding)."""
_TO_ESCAPE = lazy_pattern(f"[\udc80-\udcff{_QUOTE}]")
_ESCAPE = lazy_pattern(f"{_QUOTE}(?:{_QUOTE}|[89A-F][0-9A-F])")


_DIRECTORY = lazy_pattern(r"--xa?-s3(?=$|[./?])")


THUMBNAIL_PREFIX: Final = ".thumbnails/"


def thumbnails_below(side: int, prefix: str, below: str = THUMBNAIL_PREFIX) -> str:
    """Return the prefix of the thumbnails of a target's images."""
    return f"{below}{side}/{prefix}"


def _is_bucket_name(text: str) -> bool:
    letters = text.replace(".", "").replace("-", "").replace("_", "")
    ends = text[:1] + text[-1:]
    return 3 <= len(text) <= 255 and text.isascii() and letters.isalnum() and ends.isalnum()


def is_directory_bucket(bucket: str) -> bool:
    """Return whether a name, ARN or URL is that of an S3 Express bucket, or of its access point.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-directory-buckets-naming.html
    """
    return "--x" in bucket and _DIRECTORY.search(bucket) is not None


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket and the literal prefix below which a sync works: empty, or ending in ``/``."""

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Location:
        """Read ``s3://bucket/prefix``: a literal, never a URL, so ``#``, ``?`` and ``%`` stay.

        One ``/`` is added at the end of a prefix that has none, so that ``path`` never means ``path-old``.

        Raises:
            UsageError: the text names no bucket, or one with an impossible name.
        """
        if not text.startswith(SCHEME):
            raise UsageError(f"{text!r} is not an S3 location; write s3://bucket/prefix")
        bucket, prefix = _split_bucket(text.removeprefix(SCHEME))
        if not (_is_bucket_name(bucket) or _ARN.fullmatch(bucket)):
            raise UsageError(
                f"{bucket!r} in {text!r} cannot be a bucket name: 3 to 255 letters, digits, dots, dashes or "
                "underscores, beginning and ending with a letter or digit"
            )
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        if (problem := key_problem(prefix)) is not None:
            raise UsageError(f"the prefix of {text!r} {problem}")
        return cls(bucket, prefix)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}"


def parse_address(text: str) -> tuple[str, str]:
    """Return the bucket and the key of ``s3://bucket/key``, a literal: nothing is added, nothing decoded.

    The key may be empty, or a mere prefix.

    Raises:
        UsageError: the text names no bucket, or the key cannot be one.
    """
    bucket, key = _split_bucket(text.partition("://")[2])
    Location.parse(text.removesuffix(key))
    if (problem := key_problem(key)) is not None:
        raise UsageError(f"the key of {text!r} {problem}")
    return bucket, key


def parse_object(text: str) -> tuple[str, str]:
    """Return the bucket and the key of an object; see :func:`parse_address`.

    Raises:
        UsageError: the text names no object.
    """
    bucket, key = parse_address(text)
    if not key:
        raise UsageError(f"{text!r} names no object; write s3://bucket/key")
    return bucket, key


def _split_bucket(text: str) -> tuple[str, str]:
    """Split at the slash after the bucket; the ARN of an access point may hold slashes of its own."""
    if text.startswith("arn:") and (match := _ARN.fullmatch(text)) is not None:
        return match[1], match[2] or ""
    bucket, _, prefix = text.partition("/")
    return bucket, prefix


def key_problem(key: str) -> str | None:
    """Return why a text cannot be an object key, as the rest of a sentence about it, or ``None``."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "is not valid UTF-8, so no object key can stand for it"
    if length > MAX_KEY_BYTES:
        return f"makes a key of {length} bytes; S3 allows {MAX_KEY_BYTES}"
    return None


def fits_xml(key: str) -> bool:
    """Return whether XML 1.0 can hold the key; if not, one such key makes a whole batch delete fail."""
    return _NOT_XML.search(key) is None


def stored_form(key: str) -> str:
    """Return a key as servers that treat keys as paths store it: other bytes, but maybe the same object.

    SeaweedFS reads a backslash as a slash and drops empty components, rclone drops a slash at the end, and
    macOS stores other Unicode forms.
    """
    path = key.replace("\\", "/")
    if "//" in path or path[:1] == "/" or path[-1:] == "/":
        path = "/".join(filter(None, path.split("/")))
    return nfc(path)


def nfc(key: str) -> str:
    """Return the key in Unicode normal form C, to find names that look the same but are other bytes."""
    return key if key.isascii() else unicodedata.normalize("NFC", key)


def escaped(path: str) -> str:
    """Return a path whose undecodable bytes are written as text.

    Byte 0xE4 becomes ``\u201bE4``, and the mark ``\u201b`` itself is written twice. So no two files have one
    key, and :func:`unescaped` is the way back.
    """
    return path if path.isascii() else _TO_ESCAPE.sub(_escape, path)


def unescaped(key: str) -> str:
    """Return the path that :func:`escaped` made the key of, its undecodable bytes as surrogate escapes."""
    return _ESCAPE.sub(_unescape, key) if _QUOTE in key else key


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    return _QUOTE * 2 if letter == _QUOTE else f"{_QUOTE}{ord(letter) - 0xDC00:02X}"


def _unescape(found: re.Match[str]) -> str:
    text = found[0][1:]
    return _QUOTE if text == _QUOTE else chr(0xDC00 + int(text, 16))
