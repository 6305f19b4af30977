"""Drives the real DeltaGlider; runs inside an environment that has it, and imports nothing of this project.

``python deltaglider_driver.py upload|stats|parse BUCKET [...]``, credentials and endpoint in the environment.
It prints one JSON document.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

MODES = ("quick", "sampled", "detailed")


def releases(folder: Path) -> list[tuple[Path, str]]:
    """Write files and return them with their prefixes: similar releases, and files that are no archives."""
    rng = random.Random(7)  # noqa: S311 - the same bytes each time
    found = []
    for prefix, name, size, count in (
        ("", "root", 12_000, 2),
        ("app/", "app", 30_000, 4),
        ("app/beta/", "app", 22_000, 3),
        ("tools/", "tool", 9_000, 1),
    ):
        body = bytearray(rng.randbytes(size))
        for number in range(count):
            place = rng.randrange(size - 600)
            body[place : place + 300] = rng.randbytes(300)
            body += rng.randbytes(number * 257)
            path = folder / f"{name}-{prefix.replace('/', '_')}{number}.zip"
            path.write_bytes(body)
            found.append((path, prefix))
    for prefix, name, size in (
        ("app/", "app.sha1", 41),
        ("docs/", "read me.txt", 3000),
        ("docs/", "empty.txt", 0),
    ):
        path = folder / name
        path.write_bytes(rng.randbytes(size))
        found.append((path, prefix))
    return found


def client() -> Any:
    from deltaglider import create_client

    return create_client(endpoint_url=os.environ["AWS_ENDPOINT_URL"], log_level="ERROR")


def upload(bucket: str) -> dict[str, Any]:
    import deltaglider

    glider = client()
    with tempfile.TemporaryDirectory() as folder:
        for path, prefix in releases(Path(folder)):
            glider.upload(str(path), f"s3://{bucket}/{prefix}")
    return {"version": deltaglider.__version__}


def stats(bucket: str) -> dict[str, Any]:
    glider = client()
    return {mode: asdict(glider.get_bucket_stats(bucket, mode=mode, use_cache=False)) for mode in MODES}


def parse(bucket: str, *files: str) -> dict[str, Any]:
    """Return how DeltaGlider's own reader reads cache files: its numbers, and its validation."""
    from deltaglider.client_operations.stats import _read_stats_cache

    found = {}
    for file, mode in zip(files, MODES, strict=True):
        body = Path(file).read_bytes()
        complaints: list[str] = []
        logger = SimpleNamespace(warning=complaints.append, debug=lambda text: None)
        storage = SimpleNamespace(get=lambda address, body=body: SimpleNamespace(data=body))
        shim = SimpleNamespace(service=SimpleNamespace(storage=storage, logger=logger))
        numbers, validation = _read_stats_cache(shim, bucket, mode)
        found[mode] = {
            "stats": asdict(numbers) if numbers else None,
            "validation": validation,
            "complaints": complaints,
        }
    return found


if __name__ == "__main__":
    action = {"upload": upload, "stats": stats, "parse": parse}[sys.argv[1]]
    print(json.dumps(action(*sys.argv[2:])))  # noqa: T201 - its answer
