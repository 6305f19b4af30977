"""Scale one image to a thumbnail, in bounded memory; blocking, for use in a thread."""

from __future__ import annotations

import os
from io import BytesIO
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.errors import AioS3SyncError
from aios3sync.images.size import image_size, opened_image, orientation
from aios3sync.local.read import Place, open_place

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ("ImageChangedError", "Scaled", "UnscalableError", "scaled")

_MOST_PIXELS: Final = 64_000_000
"""Pixels of an image that is decoded completely: 256 MB of memory."""
_MOST_JPEG_PIXELS: Final = 128_000_000
"""Pixels of a JPEG. It is decoded at an eighth of its size, but progressive files hold all coefficients."""
_MANY_PIXELS: Final = 16_000_000
_HEAD: Final = 64 * 1024
_LONGEST_PROFILE: Final = 16 * 1024
_QUALITY: Final = 80

# One large image at a time, however many threads there are: their memory adds up.
_large_image: Final = Lock()


class UnscalableError(AioS3SyncError):
    """Raised when no thumbnail can be made of a file; the message says why."""


class ImageChangedError(AioS3SyncError):
    """Raised when the file has changed since it was uploaded."""


class Scaled(NamedTuple):
    """A thumbnail, in WebP, and the size of its image in pixels as displayed."""

    content: bytes
    width: int
    height: int


def scaled(place: Place, side: int, stat: tuple[int, int] | None = None) -> Scaled:
    """Return a thumbnail that fits into a square; smaller images are not enlarged.

    It is rotated as EXIF says, and keeps its transparency and a small colour profile, but no other metadata
    (no location, for privacy). For an animation it is the first frame.

    Args:
        place: the path of the file.
        side: of the square, in pixels.
        stat: the expected size, and mtime in nanoseconds.

    Raises:
        ImageChangedError: the file has another size or mtime.
        UnscalableError: the file is not an image, is broken or too large.
        OSError: the file cannot be read.
    """
    with os.fdopen(open_place(place), "rb") as file:
        now = os.fstat(file.fileno())
        if stat is not None and stat != (now.st_size, now.st_mtime_ns):
            raise ImageChangedError("the file has changed since it was uploaded")
        try:
            return _scaled(file, side)
        except UnscalableError:
            raise
        except Exception as error:  # the decoders raise errors of any type
            raise UnscalableError("it is broken, or no image of a format that can be read") from error


def _scaled(file: IO[bytes], side: int) -> Scaled:
    # Pillow's class for WebP allocates all pixels when it is opened, so the size is checked before.
    head = file.read(_HEAD)
    file.seek(0)
    if head[:4] == b"RIFF":
        _refuse_large(image_size("x.webp", head) or (0, 0), _MOST_PIXELS)
    with opened_image(file) as image:
        jpeg = image.format == "JPEG"
        _refuse_large(image.size, _MOST_JPEG_PIXELS if jpeg else _MOST_PIXELS)
        width, height = _shown_size(image)
        if image.width * image.height <= _MANY_PIXELS:
            return Scaled(_small(image, side), width, height)
        with _large_image:
            return Scaled(_small(image, side), width, height)


def _refuse_large(size: tuple[int, int], most: int) -> None:
    width, height = size
    if width * height > most:
        raise UnscalableError(f"it is too large ({width}x{height} pixels, {most:,} at most)")


def _shown_size(image: Any) -> tuple[int, int]:
    width, height = image.size
    if image.format != "TIFF" and orientation(image) >= 5:
        return height, width
    return width, height


def _small(image: Any, side: int) -> bytes:
    from PIL import ImageOps

    plain = image.mode in ("RGB", "RGBA", "L")
    profile = image.info.get("icc_profile", b"")
    image.draft("RGB", (2 * side, 2 * side))
    image.load()
    small: Image = image
    if image.mode.startswith("I"):  # 16 bits a pixel, which a plain conversion would clip
        small = image.convert("I").point(lambda value: value * (1 / 256)).convert("RGB")
    elif image.mode not in ("RGB", "RGBA"):
        small = image.convert("RGBA" if _is_transparent(image) else "RGB")
    small.thumbnail((side, side), reducing_gap=3.0)
    small = ImageOps.exif_transpose(small)
    out = BytesIO()
    keep = (
        {"icc_profile": profile} if plain and 0 < len(profile) <= _LONGEST_PROFILE else {"icc_profile": b""}
    )
    small.save(out, "WEBP", quality=_QUALITY, method=4, exif=b"", xmp=b"", **keep)
    return out.getvalue()


def _is_transparent(image: Any) -> bool:
    return image.mode in ("LA", "PA", "RGBa", "La") or "transparency" in image.info
