"""Sync a directory of pictures with thumbnails, and update the index of the gallery: ``fill.py SOURCE s3://…``."""

from __future__ import annotations

import os
import sys

import anyio

import aios3sync


async def fill(source: str, target: str) -> None:
    """Sync the source to the target, and the index with it."""
    url = os.environ.get("GALLERY_INDEX", "sqlite:///gallery.db")
    async with aios3sync.connect() as s3, s3.index(url) as index:
        report = await s3.sync(source, target, index=index, thumbnails=256)
    print(f"uploaded {report.uploaded:,}, kept {report.kept:,}, failed {report.failed:,}")
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: fill.py SOURCE s3://BUCKET/PREFIX")
    anyio.run(fill, sys.argv[1], sys.argv[2])
