"""The program of an upload process starts in milliseconds: it loads only a part of the standard library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROBE = """
import sys
sys.path.append(sys.argv[1])
import aios3sync.processes.main
print(*sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names))
slow = {"aios3sync.core.keys", "asyncio", "datetime", "email", "importlib.resources", "tempfile", "xml"}
print(*sorted(slow & sys.modules.keys()))
"""


def test_an_upload_process_needs_nothing_but_the_standard_library() -> None:
    """Without site-packages it starts all the same."""
    root = str(Path(__file__).parents[2])
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", PROBE, root], capture_output=True, text=True)
    assert not ran.stderr
    foreign, slow = ran.stdout.splitlines()
    assert foreign.split() == ["__main__", "aios3sync"]
    assert not slow, "modules that would double the time of the start"
