"""Syncs one directory through the library, as an application on the plain asyncio loop does: no uvloop.

A script, not a module: ``python library.py SOURCE s3://BUCKET/PREFIX``; it prints what was uploaded.
"""

from __future__ import annotations

import asyncio
import sys

import aios3sync


async def main(source: str, target: str) -> int:
    """Sync, print how many files were uploaded, and return the exit code."""
    async with aios3sync.connect() as s3:
        report = await s3.sync(source, target)
    print(f"uploaded {report.uploaded:,}")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2])))
