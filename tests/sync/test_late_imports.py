"""Where the engine of a sync is imported: by runs alone, and never on the event loop, to block it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

PROGRAM: Final = """
import asyncio, json, sys, threading

ENGINE = ("aios3sync.sync.setup", "aios3sync.sync.pipeline", "aios3sync.sync.sides")
on_the_loop = []

class Spy:
    def find_spec(self, name, path=None, target=None):
        if name in ENGINE and threading.current_thread() is threading.main_thread():
            on_the_loop.append(name)
        return None

async def main(call, place):
    import aios3sync
    import aios3sync.objects.reader

    sys.meta_path.insert(0, Spy())
    async with aios3sync.connect(endpoint_url="http://127.0.0.1:1", region="us-east-1") as s3:
        early = [name for name in ENGINE if name in sys.modules]
        arguments = (place, "s3://bucket/p", "key")[: 3 if call == "explain" else 2]
        try:
            await getattr(s3, call)(*arguments)
        except aios3sync.AioS3SyncError as error:
            failed = type(error).__name__
    print(json.dumps([early, on_the_loop, failed, ENGINE[-1] in sys.modules]))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("call", ["sync", "verify", "explain"])
def test_the_engine_is_imported_late_and_in_a_thread(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails, since there is no source; by then all is imported."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    command = [sys.executable, "-c", PROGRAM, call, str(tmp_path / "missing")]
    ended = subprocess.run(command, capture_output=True, timeout=120, check=True)
    assert json.loads(ended.stdout) == [[], [], "SourceError", True], ended.stderr.decode()
