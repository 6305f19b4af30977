"""Describes the machine of a run: hardware and versions, without host names and paths; only reads."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import aios3sync

__all__ = ("describe", "free_memory")

_MIB = 1024**2


def describe() -> dict[str, Any]:
    """Return the environment of a run, for the JSON."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": _meminfo("MemTotal") // _MIB,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "aios3sync": f"{aios3sync.__version__}{_commit()}",
        "load_before": round(os.getloadavg()[0], 2),
    }


def free_memory() -> int:
    """Return the bytes that can be used without swapping."""
    return _meminfo("MemAvailable")


def _meminfo(name: str) -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        field, _, rest = line.partition(":")
        if field == name:
            return 1024 * int(rest.split()[0])
    return 0


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        field, _, value = line.partition(":")
        if field.strip() == "model name":
            return value.strip()
    return platform.machine()


def _commit() -> str:
    """Return the commit of the checkout, marked if files differ from it; empty outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    place = Path(__file__).parent
    try:
        ran = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f" ({ran.stdout.strip()})"
