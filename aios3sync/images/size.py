"""The size of an image, from the first bytes of its file; nothing is decoded, and no error is raised.

Pillow (the extra ``images``) reads the headers, through its classes of single formats: ``Image.open`` refuses
large images, to protect a decoder that is not run here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Final

from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ("EXTENSIONS", "image_size", "is_image_name", "opened_image", "orientation", "require_pillow")

EXTENSIONS: Final = frozenset(
    {"apng", "avif", "bmp", "gif", "j2k", "jp2", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"}
)
_ORIENTATION: Final = 0x0112
"""The tag of EXIF and TIFF; the values 5 to 8 are rotated by a quarter turn."""
_QUARTER_TURNS: Final = frozenset({5, 6, 7, 8})
_MOST_PIXELS_A_SIDE: Final = 2**31 - 1


def require_pillow(option: str) -> None:
    """Raise unless Pillow is installed.

    Raises:
        UsageError: Pillow is not installed; the message names ``option`` and the extra to install.
    """
    if find_spec("PIL") is None:
        raise UsageError(f"{option}: images need Pillow; pip install Pillow")


@cache
def _has_pillow() -> bool:
    """Return whether Pillow is installed; cached, as the search is slow and there may be a million images."""
    return find_spec("PIL") is not None


def is_image_name(name: str) -> bool:
    """Whether a key or file name has the extension of an image; fast."""
    stem, _, extension = name.rpartition(".")
    return bool(stem) and extension.lower() in EXTENSIONS


def image_size(name: str, head: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels, as the image is displayed.

    An image with an EXIF orientation of a quarter turn has its stored width and height exchanged. (For a WebP
    file whose EXIF comes after ``head`` the stored size is returned.) Blocking, some 50 µs; use a thread.

    Args:
        name: the key or the file name; a name without the extension of an image is not read.
        head: the first bytes of the file, or all of them. JPEG, PNG, GIF and BMP need some kilobytes, TIFF
            and AVIF may need the whole file.

    Returns:
        ``None`` where the file is not an image, is broken, or needs more than ``head``, and without Pillow.
    """
    if not is_image_name(name) or not _has_pillow():
        return None
    try:
        return _size(head)
    except Exception:  # noqa: BLE001 - the decoders raise errors of any type, and no image may fail an upload
        return None


def _size(head: bytes) -> tuple[int, int] | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        size, exif = _webp(head)
        turned = bool(exif) and _orientation(exif) in _QUARTER_TURNS
    else:
        with opened_image(BytesIO(head)) as image:
            size = image.size
            # Pillow reports the size of a TIFF already rotated.
            turned = image.format != "TIFF" and orientation(image) in _QUARTER_TURNS
    width, height = size
    if not (0 < width <= _MOST_PIXELS_A_SIDE and 0 < height <= _MOST_PIXELS_A_SIDE):
        return None
    return (height, width) if turned else (width, height)


def opened_image(file: IO[bytes]) -> ImageFile:
    """Open an image and read its header only; decoding reads the rest from ``file``.

    Raises:
        Exception: of any type, where the file is not an image of a known format.
    """
    start = file.read(16)
    file.seek(0)
    return _reader(start)(file, "")


def _reader(content: bytes) -> Callable[[IO[bytes], str], ImageFile]:
    """Return the class of the format that the first bytes show; file extensions may be wrong."""
    from PIL import (
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Jpeg2KImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    match content[:4]:
        case b"\x89PNG":
            return PngImagePlugin.PngImageFile
        case b"GIF8":
            return GifImagePlugin.GifImageFile
        case b"RIFF":
            return WebPImagePlugin.WebPImageFile
        case b"II*\0" | b"MM\0*" | b"II+\0" | b"MM\0+":
            return TiffImagePlugin.TiffImageFile
        case b"\0\0\0\x0c" | b"\xff\x4f\xff\x51":
            return Jpeg2KImagePlugin.Jpeg2KImageFile
    if content[:3] == b"\xff\xd8\xff":
        return JpegImagePlugin.JpegImageFile
    if content[:2] == b"BM":
        return BmpImagePlugin.BmpImageFile
    if content[4:8] == b"ftyp":
        return AvifImagePlugin.AvifImageFile
    raise ValueError("no image of a known format")


def orientation(image: ImageFile) -> int:
    """Return the EXIF orientation, 1 where there is none; EXIF after the pixels of a PNG is not read."""
    exif: Any = image.info.get("exif")
    return _orientation(exif) if isinstance(exif, bytes) else 1


def _orientation(exif: bytes) -> int:
    from PIL.Image import Exif

    tags = Exif()
    try:
        tags.load(exif)
        value: Any = tags.get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken EXIF is no reason not to know the size
        return 1
    return value if isinstance(value, int) else 1


def _webp(head: bytes) -> tuple[tuple[int, int], bytes]:
    """Return size and EXIF of a WebP file; Pillow's class needs the whole file, and memory for all pixels.

    https://developers.google.com/speed/webp/docs/riff_container
    """
    kind = head[12:16]
    if len(head) < 30:
        raise ValueError("not the whole header of a WebP file")
    if kind == b"VP8X":
        number = int.from_bytes(head[24:30], "little")
        return ((number & 0xFFFFFF) + 1, (number >> 24) + 1), _webp_exif(head)
    if kind == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), b""
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
        return (width & 0x3FFF, height & 0x3FFF), b""
    raise ValueError("no WebP file")


def _webp_exif(head: bytes) -> bytes:
    at = 12
    while at + 8 <= len(head):
        length = int.from_bytes(head[at + 4 : at + 8], "little")
        if head[at : at + 4] == b"EXIF":
            return head[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return b""
