"""New headers for unchanged objects on real servers: small, multipart and compressed ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from aios3sync.testing.trees import make_tree
from tests.integration.conftest import Place

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

MIB = 1024 * 1024
TREE: dict[str, bytes | str | None] = {
    "index.html": "<p>",
    "große datei +%.bin": b"x" * (11 * MIB),
    "d/a.json": '{"a": 1}' * 100,
    "empty": b"",
}


async def heads(place: Place, prefix: str) -> dict[str, dict[str, Any]]:
    return await to_thread.run_sync(
        lambda: {name: place.client.head_object(Bucket=place.bucket, Key=f"{prefix}{name}") for name in TREE}
    )


async def test_headers_change_and_content_does_not(place: Place, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "t", TREE)
    sizes = {"part_size": 5 * MIB, "multipart_threshold": 5 * MIB}
    options: dict[str, Any] = {"gzip": ("json",), "manifest": str(tmp_path / "m.sqlite"), **sizes}
    assert (
        await place.session.sync(root, place.url("p"), cache_control="max-age=60", **options)
    ).uploaded == 4
    before, bodies = await heads(place, "p/"), await place.read("p/")

    options |= {"header_for": ["*.html:cache-control=no-cache"], "metadata": {"owner": "lab"}}
    report = await place.session.sync(root, place.url("p"), cache_control="max-age=9", **options)
    assert (report.updated, report.uploaded, report.failed) == (4, 0, 0)
    assert await place.read("p/") == bodies
    after = await heads(place, "p/")
    assert {name: head["CacheControl"] for name, head in after.items()} == {
        name: "no-cache" if name == "index.html" else "max-age=9" for name in TREE
    }
    for name, head in after.items():
        assert head["Metadata"].pop("owner") == "lab"
        assert head["Metadata"] == before[name]["Metadata"]
        for kept in ("ContentType", "ContentEncoding"):
            assert head.get(kept) == before[name].get(kept)

    for check in ("auto", "list"):
        again = await place.session.sync(
            root, place.url("p"), cache_control="max-age=9", check=check, **options
        )
        assert (again.updated, again.uploaded, again.adopted) == (0, 0, 0)
    difference = await place.session.verify(root, place.url("p"), gzip=("json",))
    assert (difference.same, difference.differing, difference.read) == (4, 0, 0)
