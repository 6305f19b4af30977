"""Sizes of images from their first bytes: right or none, without exceptions and without decoding."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from aios3sync.errors import UsageError
from aios3sync.images.size import EXTENSIONS, image_size, is_image_name, require_pillow

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpg": ("JPEG", {}),
    "jpeg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "avif": ("AVIF", {}),
    "jp2": ("JPEG2000", {}),
}
ORIENTABLE = ["jpg", "png", "tif", "webp", "avif"]


def content(name: str, size: tuple[int, int], **options: Any) -> bytes:
    format_, own = FORMATS[name]
    out = BytesIO()
    Image.new("RGB", size, (200, 30, 90)).save(out, format_, **own, **options)
    return out.getvalue()


def turned(name: str, size: tuple[int, int], orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return content(name, size, exif=exif)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (300, 200), (17, 4000)])
def test_each_format(name: str, size: tuple[int, int]) -> None:
    assert image_size(f"photos/a.{name}", content(name, size)) == size


@pytest.mark.parametrize("name", ORIENTABLE)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_displayed_image(name: str, orientation: int) -> None:
    body = turned(name, (40, 30), orientation)
    shown = ImageOps.exif_transpose(Image.open(BytesIO(body)))
    assert shown.size == ((30, 40) if orientation in (5, 6, 7, 8) else (40, 30))
    assert image_size(f"a.{name}", body) == shown.size


@pytest.mark.parametrize("name", ["jpg", "png", "gif", "bmp", "webp"])
def test_the_first_kilobytes_are_enough(name: str) -> None:
    noise = Image.effect_noise((900, 700), 90).convert("RGB")
    out = BytesIO()
    noise.save(out, FORMATS[name][0])
    assert len(out.getvalue()) > 20_000
    assert image_size(f"a.{name}", out.getvalue()[:4096]) == (900, 700)


@pytest.mark.parametrize("name", FORMATS)
def test_a_cut_file_has_the_right_size_or_none(name: str) -> None:
    body = turned(name, (40, 30), 6) if name in ORIENTABLE else content(name, (40, 30))
    sizes = {image_size(f"a.{name}", body[:length]) for length in range(len(body) + 1)}
    # The orientation of a WebP file comes after its pixels, that of a PNG may be cut off.
    assert sizes <= {None, (30, 40), (40, 30)}
    assert None in sizes


@pytest.mark.parametrize("name", ["a.txt", "jpg", "a.jpg.gz", "a.", "", ".jpgx", "a/png/b"])
def test_a_name_without_an_image_extension_is_not_read(name: str) -> None:
    assert image_size(name, content("jpg", (4, 3))) is None


def test_a_wrong_extension_does_no_harm() -> None:
    assert image_size("a.png", content("jpg", (4, 3))) == (4, 3)
    assert image_size("A.JPG", content("webp", (4, 3))) == (4, 3)


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(sorted(EXTENSIONS)), st.binary(max_size=200))
def test_noise_is_no_image(extension: str, body: bytes) -> None:
    image_size(f"a.{extension}", body)


STARTS = [content(name, (40, 30))[:80] for name in FORMATS]


@settings(deadline=None)  # the machine may be busy
@given(
    st.sampled_from(STARTS), st.integers(0, 60), st.binary(min_size=1, max_size=20), st.binary(max_size=80)
)
def test_a_damaged_header_raises_nothing(start: bytes, at: int, damage: bytes, rest: bytes) -> None:
    size = image_size("a.jpg", start[:at] + damage + start[at + len(damage) :] + rest)
    assert size is None or min(size) > 0


def png_of(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(bytes(10_000_000))
    chunks = (
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in (header, pixels)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("name", "body", "size"),
    [
        ("bomb.png", png_of(200_000, 200_000), (200_000, 200_000)),
        (
            "bomb.webp",
            b"RIFF\xff\xff\xff\x00WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0\xff\x3f\0",
            (16384, 16384),
        ),
    ],
)
def test_a_decompression_bomb_is_measured_and_not_decoded(
    name: str, body: bytes, size: tuple[int, int]
) -> None:
    image_size(name, body)  # what is loaded once is loaded
    tracemalloc.start()
    try:
        assert image_size(name, body) == size
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_header_that_claims_nothing_has_no_size() -> None:
    assert image_size("a.png", png_of(0, 10)) is None


def test_checking_a_name_is_fast() -> None:
    """Under two microseconds, so that a million files that are no images cost no time."""
    body = content("jpg", (4, 3))
    best = 1.0
    for _ in range(5):
        began = time.process_time()
        for _ in range(10_000):
            image_size("train/part-00017/record.json", body)
        best = min(best, (time.process_time() - began) / 10_000)
    assert best < 2e-6


def test_without_pillow_there_are_no_sizes_and_require_pillow_raises() -> None:
    program = """
import sys
sys.modules["PIL"] = None
from aios3sync.images.size import image_size, require_pillow
assert image_size("a.jpg", b"\\xff\\xd8\\xff\\xe0") is None
from unittest.mock import patch
with patch("aios3sync.images.size.find_spec", return_value=None):
    try:
        require_pillow("--thumbnails")
    except ValueError as error:
        print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "--thumbnails: images need Pillow; pip install Pillow"


def test_pillow_is_there() -> None:
    try:
        require_pillow("--thumbnails")
    except UsageError:  # pragma: no cover - the tests install it
        pytest.fail("Pillow is not installed")
    assert is_image_name("a/b.JPeG")
