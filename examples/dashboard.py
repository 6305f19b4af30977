"""Keep a page with the statistics of a bucket current.

Run it with ``python examples/dashboard.py s3://BUCKET[/PREFIX] [FILE] [SECONDS]``. It counts every minute,
and while nothing changes that is one listing, which shows that the numbers cached in the bucket are
current. The page is replaced atomically, so any web server may serve it meanwhile.
"""

from __future__ import annotations

import argparse
import time

import anyio
from anyio import to_thread

import aios3sync
from aios3sync import AioS3SyncError, BucketStats
from aios3sync.stats import write_page


def printable(text: str) -> str:
    """Return text without control characters; a message may quote a key, and a key may have any."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def line(stats: BucketStats, before: BucketStats | None) -> str:
    """Return the numbers in a line, with the change since the last time."""
    objects, stored = stats.objects.value or 0, stats.stored_bytes.value or 0
    text = f"{objects:,.0f} objects, {stored / 1e6:,.1f} MB"
    if not stats.complete:
        text += " INCOMPLETE"
    if before is not None and (change := objects - (before.objects.value or 0)):
        text += f" ({change:+,.0f} objects)"
    return text


async def watch(target: str, file: str, every: float) -> None:
    """Count, write the page, wait; a later failure is printed, and the last page stays."""
    before: BucketStats | None = None
    async with aios3sync.connect() as s3:
        while True:
            clock = time.strftime("%H:%M:%S")
            try:
                stats = await s3.stats(target)
                await to_thread.run_sync(write_page, stats, file)
                print(clock, line(stats, before), flush=True)
                before = stats
            except AioS3SyncError as error:
                if before is None:
                    raise  # a wrong bucket or path does not go away by waiting
                print(clock, "failed, the page is kept:", printable(str(error)), flush=True)
            await anyio.sleep(every)


def main() -> None:
    """Read the command line and watch until Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", metavar="s3://BUCKET[/PREFIX]")
    parser.add_argument("file", nargs="?", default="dashboard.html")
    parser.add_argument("seconds", nargs="?", type=float, default=60.0)
    given = parser.parse_args()
    try:
        anyio.run(watch, given.target, given.file, given.seconds)
    except KeyboardInterrupt:
        pass
    except AioS3SyncError as error:
        parser.exit(1, f"{printable(str(error))}\n")


if __name__ == "__main__":
    main()
