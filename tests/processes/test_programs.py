"""The programs of processes start in milliseconds: they load only a part of the standard library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import sys
sys.path.append(sys.argv[1])
__import__(sys.argv[2])
print(*sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names))
slow = {"aios3sync.core.keys", "asyncio", "ctypes", "datetime", "email", "importlib.resources"}
slow |= {"secrets", "tempfile", "xml"}
print(*sorted(slow & sys.modules.keys()))
"""


@pytest.mark.parametrize("program", ["upload_main", "download_main"])
def test_a_process_needs_nothing_but_the_standard_library(program: str) -> None:
    """Without site-packages it starts all the same."""
    module = f"aios3sync.processes.{program}"
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-I", "-S", "-c", PROBE, root, module]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert not ran.stderr
    foreign, slow = ran.stdout.splitlines()
    assert foreign.split() == ["__main__", "aios3sync"]
    assert not slow, "modules that would double the time of the start"
