"""The main job on an embedded S3 endpoint: sync, sync again, change things, sync with --delete.

Run it with ``make demo``. Everything lives in a temporary directory, the endpoint listens on loopback only,
and nothing is left behind.
"""

from __future__ import annotations

import os
import random
import shlex
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import aioboto3
import anyio

import aios3sync
from aios3sync.testing import start_seaweedfs

BUCKET = "demo-bucket"
TARGET = f"s3://{BUCKET}/dataset"
IMAGES = 120


def png(side: int, seed: int) -> bytes:
    """Return a small image of noise, different for each seed."""
    noise = random.Random(seed)  # noqa: S311 - pictures, not secrets
    rows = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def make_sample(root: Path) -> None:
    """Write a typical data set: images with a caption each, and one large file."""
    for number in range(IMAGES):
        folder = root / "images" / f"part-{number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:04}.png").write_bytes(png(48, number))
        (folder / f"{number:04}.txt").write_text(f"a square of noise, number {number}\n")
    (root / "weights.bin").write_bytes(os.urandom(40 * 1024 * 1024))
    (root / "README é.md").write_text("# A sample\n")


def change_sample(root: Path) -> None:
    """Change some files, rename one and delete some, as happens between two syncs."""
    images = root / "images"
    for number in (3, 5, 8):
        (images / f"part-{number % 4}" / f"{number:04}.txt").write_text("a better caption\n")
    (images / "part-1" / "0001.png").rename(images / "part-1" / "first.png")
    for number in (100, 104, 108):
        (images / "part-0" / f"{number:04}.png").unlink()
        (images / "part-0" / f"{number:04}.txt").unlink()


def heading(text: str) -> None:
    """Print the heading of the next step."""
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def run(*arguments: str, cwd: Path) -> None:
    """Run the command line as a user would, and stop the demo if it fails."""
    print("$ aios3sync " + shlex.join(arguments), flush=True)
    subprocess.run([sys.executable, "-m", "aios3sync", *arguments], cwd=cwd, check=True)  # noqa: S603


async def make_bucket() -> None:
    """Create the bucket."""
    async with aioboto3.Session().client("s3") as client:
        await client.create_bucket(Bucket=BUCKET)


async def show_bucket() -> None:
    """List the bucket as an application does, through its own client."""
    async with aioboto3.Session().client("s3") as client, aios3sync.connect(client=client) as s3:
        store = await s3.store(BUCKET)
        token, entries = None, []
        while True:
            page = await store.list_page("dataset/", token=token)
            entries += page.entries
            token = page.next_token
            if token is None:
                break
    print(f"{len(entries)} objects, {sum(entry.size for entry in entries):,} bytes; the first and the last:")
    for entry in (*entries[:3], *entries[-3:]):
        print(f"  {entry.size:>12,}  {entry.etag:<36}  {entry.key}")


def main() -> None:
    """Run the demo."""
    with tempfile.TemporaryDirectory(prefix="aios3sync-demo-") as place:
        root = Path(place)
        sample = root / "sample"
        heading("An S3 endpoint on loopback (SeaweedFS), and a sample tree")
        make_sample(sample)
        with start_seaweedfs() as endpoint:
            os.environ.update(endpoint.environment(), XDG_STATE_HOME=str(root / "state"))
            print(f"listening at {endpoint.url}; {2 * IMAGES + 2} files in the sample")
            anyio.run(make_bucket)
            heading("The first sync sends everything")
            run("sync", "sample", TARGET, "--quiet", cwd=root)
            run("verify", "sample", TARGET, cwd=root)
            heading("Nothing changed: S3 is not even asked")
            run("sync", "sample", TARGET, cwd=root)
            change_sample(sample)
            heading("Three captions changed, one image moved, three pairs went: a look first")
            run("sync", "sample", TARGET, "--delete", "--dry-run", cwd=root)
            heading("Then for real")
            run("sync", "sample", TARGET, "--delete", cwd=root)
            heading("The same as a report for programs")
            run("sync", "sample", TARGET, "--check", "list", "--json", cwd=root)
            heading("Why is a key kept?")
            run("explain", "sample", TARGET, "weights.bin", cwd=root)
            heading("What is in the bucket")
            anyio.run(show_bucket)
            run("verify", "sample", TARGET, cwd=root)
    heading("Done: the endpoint is stopped, the files are gone")


if __name__ == "__main__":
    main()
