"""Types by extension: one table, whatever Python and machine say."""

from __future__ import annotations

import mimetypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.media_types import _TABLE, content_type_of, is_utf8

OFFICE = "application/vnd.openxmlformats-officedocument."


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a.txt", "text/plain"),
        ("A.JPG", "image/jpeg"),
        ("x.webp", "image/webp"),
        ("x.avif", "image/avif"),
        ("x.parquet", "application/vnd.apache.parquet"),
        ("x.jsonl", "application/jsonl"),
        ("x.md", "text/markdown"),
        ("x.wasm", "application/wasm"),
        ("x.tar.gz", "application/gzip"),
        ("x.js", "text/javascript"),
        ("x.mjs", "text/javascript"),
        ("x.docx", f"{OFFICE}wordprocessingml.document"),
        ("x.xlsx", f"{OFFICE}spreadsheetml.sheet"),
        ("x.pptx", f"{OFFICE}presentationml.presentation"),
        ("x.odt", "application/vnd.oasis.opendocument.text"),
        ("x.rtf", "application/rtf"),
        ("x.epub", "application/epub+zip"),
        ("x.glb", "model/gltf-binary"),
        ("x.gltf", "model/gltf+json"),
        ("x.7z", "application/x-7z-compressed"),
        ("x.otf", "font/otf"),
        ("x.woff2", "font/woff2"),
        ("x.eot", "application/vnd.ms-fontobject"),
        ("x.mp4", "video/mp4"),
        ("x.csv", "text/csv"),
        ("no-extension", "application/octet-stream"),
        ("dir.txt/file", "application/octet-stream"),
        ("x.unheard-of", "application/octet-stream"),
        ("x.", "application/octet-stream"),
        (".gitignore", "application/octet-stream"),
    ],
)
def test_the_type_follows_the_extension(key: str, expected: str) -> None:
    assert content_type_of(key) == expected


def test_an_extension_has_one_type() -> None:
    extensions = [extension for several in _TABLE.values() for extension in several.split()]
    assert len(extensions) == len(set(extensions))
    assert all(extension == extension.lower() for extension in extensions)
    assert all(name.count("/") == 1 and name == name.lower() for name in _TABLE)


def test_what_a_machine_has_installed_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mimetypes.init()
    monkeypatch.setitem(mimetypes.types_map, ".txt", "x/y")
    monkeypatch.setitem(mimetypes.types_map, ".unheard-of", "x/y")
    assert content_type_of("a.txt") == "text/plain"
    assert content_type_of("a.unheard-of") == "application/octet-stream"


@given(st.binary())
def test_what_is_utf_8_can_be_decoded(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError:
        assert not is_utf8(body)
    else:
        assert is_utf8(body)
