"""P10 of downloads: kill -9 at any moment leaves whole files, and the next run goes on where it was.

``AIOS3SYNC_KILLS`` is the number of moments (12); ``AIOS3SYNC_KILLS=100`` is for a release.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aios3sync.core.parts import MIB
from tests.integration.object_server import (
    ObjectServer,
    files,
    finished_ranges,
    object_server,
    start_sync,
    visible,
)

KILLS = int(os.environ.get("AIOS3SYNC_KILLS", "12"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

_RANDOM = random.Random(13)  # noqa: S311 - seeded, so that a moment can be tried again
OLD = {f"d{n % 7}/f{n:03}": b"old %d" % n * 50 for n in range(200)} | {
    f"gone/g{n:02}": b"gone %d" % n for n in range(40)
}
NEW = {f"d{n % 7}/f{n:03}": b"new %d" % n * 60 for n in range(50, 350)} | {
    f"large{n}": _RANDOM.randbytes(24 * MIB + n) for n in range(3)
}
BOTH = {key: {body} for key, body in OLD.items()}
for _key, _body in NEW.items():
    BOTH.setdefault(_key, set()).add(_body)


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    with object_server({f"p/{key}": body for key, body in NEW.items()}) as started:
        yield started


def start(server: ObjectServer, place: Path) -> subprocess.Popen[bytes]:
    return start_sync(server, place / "t", "--delete", "--max-delete", "1000", "--quiet", stderr=None)


@pytest.mark.parametrize("moment", range(KILLS))
def test_a_killed_download_is_continued(
    server: ObjectServer, tmp_path: Path, moment: int, record_property: Callable[[str, object], None]
) -> None:
    root = tmp_path / "t"
    server.pause = 0.0
    server.replace({f"p/{key}": body for key, body in OLD.items()})
    assert start(server, tmp_path).wait() == 0
    server.replace({f"p/{key}": body for key, body in NEW.items()})
    chosen = random.Random(moment)  # noqa: S311
    server.pause = chosen.choice([0.0, 0.002, 0.01])
    server.sent.clear()
    wanted = chosen.randrange(len(NEW) + 9)
    process = start(server, tmp_path)
    while process.poll() is None and server.sent.total() < wanted:
        time.sleep(0.001)
    time.sleep(chosen.random() * 0.05)
    process.send_signal(signal.SIGKILL)
    record_property("killed", process.wait() == -signal.SIGKILL)
    record_property("ranges", server.sent.total())
    seen = visible(root)
    for key, body in seen.items():
        assert body in BOTH[key], f"{key} is neither the old nor the new file after {moment}"
    record_property("new", sum(seen.get(key) == body for key, body in NEW.items()))
    done, whole = finished_ranges(root), {f"p/{key}" for key in NEW if seen.get(key) == NEW[key]}
    record_property("finished", len(done))
    server.sent.clear()
    server.pause = 0.0
    assert start(server, tmp_path).wait() == 0
    assert files(root) == NEW
    assert not done & server.sent.keys(), "a finished range was read again"
    assert not whole & {key for key, _ in server.sent}, "a file that is there was read again"
    server.sent.clear()
    assert start(server, tmp_path).wait() == 0
    assert not server.sent
