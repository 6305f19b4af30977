"""Measures one process from outside: wall time, CPU, peak memory and exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ("TIMED_OUT", "Measurement", "last_line", "measure")

_STOPWATCH = Path(__file__).with_name("stopwatch.py")
TIMED_OUT = 124
"""The exit code for a command that took too long, as of timeout(1)."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The cost of one run of one command.

    Attributes:
        wall_s: from the start of the process to its end.
        user_s, system_s: CPU time, with that of its children.
        peak_kib: the largest resident set.
        exit_code: negative for a signal, 124 if it took too long.
        output, errors: the files with its standard output and standard error.
    """

    wall_s: float
    user_s: float
    system_s: float
    peak_kib: int
    exit_code: int
    output: Path
    errors: Path


def measure(
    command: Sequence[str], environment: Mapping[str, str], place: Path, limit_s: float
) -> Measurement:
    """Run ``command`` in the directory ``place``, which also takes its output, for at most ``limit_s``.

    If this function ends early, also by Ctrl-C, the command is killed.
    """
    place.mkdir(parents=True, exist_ok=True)
    result, output, errors = place / "usage", place / "output", place / "errors"
    result.unlink(missing_ok=True)
    watched = [sys.executable, "-I", "-S", str(_STOPWATCH), str(result), *command]
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            watched,
            cwd=place,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end(process)
    if not result.exists():
        return Measurement(limit_s, 0, 0, 0, TIMED_OUT, output, errors)
    wall, user, system, peak, code = result.read_text().split()
    return Measurement(float(wall), float(user), float(system), int(peak), int(code), output, errors)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the command and all processes that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_line(measurement: Measurement) -> str:
    """Return the last line that the command wrote, of standard error if there is any."""
    for path in (measurement.errors, measurement.output):
        lines = path.read_text(errors="replace").replace("\r", "\n").split("\n")
        if texts := [line.strip() for line in lines if line.strip()]:
            return texts[-1][:300]
    return ""
