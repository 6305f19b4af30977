"""The recorded sessions of a page: each command of its console blocks, with what it prints.

``python -m tests.docs.sessions docs/tutorial.md`` types them into a shell again, on a server of its own, and
writes what they print now into the page.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

from aios3sync.testing import start_seaweedfs
from tests.clients import boto3_client
from tests.docs.pages import PAGES, ROOT, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aios3sync.testing import Endpoint

__all__ = (
    "BUCKETS",
    "SESSIONS",
    "Step",
    "comparable",
    "environment",
    "make_buckets",
    "steps",
    "typed",
    "written_file",
)

BUCKETS: Final = ("my-bucket", "other", "backups")
"""The empty buckets that a session begins with; the last one keeps versions."""

SESSIONS: Final = tuple(page for page in PAGES if blocks(page, "console"))
"""The pages that have one."""

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE: Final = re.compile(r"# ([\w.-]+\.(?:py|toml|txt))(?::.*)?$")
_END: Final = "\x1e"
_TIMEOUT_S: Final = 240.0
"""Ends what hangs; it is no measure of speed."""
_PROGRESS: Final = re.compile(r"scanned [\d,]+, .* files/s")
"""What a run on a slow machine says of itself meanwhile."""
_VARYING: Final = (
    (r"\d+(\.\d+)? (s|min|h)\b", "TIME"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?Z?", "DATE"),
    (r" \(([\d,]+ \w+/s, )?[\d.,]+ \w+/s\)", ""),  # a run that took longer says how fast it was
    (r"(?<=bytes\)) in TIME$", ""),  # and so does the copy of one file
)


class Step(NamedTuple):
    """One thing that a reader does.

    Attributes:
        command: what is typed; empty for a file that is written.
        printed: the lines that the page says it prints.
        name, text: a file of the working directory: a block whose first line is a comment with its name.
    """

    command: str
    printed: list[str]
    name: str = ""
    text: str = ""


def steps(page: Path) -> Iterator[Step]:
    """Yield what the page does, in its order."""
    for language, text in _BLOCK.findall(page.read_text("utf-8")):
        if language == "console":
            yield from _commands(text)
        elif name := written_file(text):
            yield Step("", [], name, text)


def written_file(text: str) -> str:
    """Return the name of the file that a block is: its first line is a comment with it. Empty for none."""
    found = _FILE.match(text.partition("\n")[0])
    return found[1] if found else ""


def _commands(block: str) -> list[Step]:
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], []))
        elif found[-1].command.endswith("\\"):
            found[-1] = Step(f"{found[-1].command}\n{line.removeprefix('> ')}", [])
        else:
            found[-1].printed.append(line)
    return found


def comparable(lines: list[str]) -> list[str]:
    """Return the lines without what differs from run to run: times, and the order in which files end."""
    lines = [line for line in lines if not _PROGRESS.match(line)]
    for pattern, text in _VARYING:
        lines = [re.sub(pattern, text, line) for line in lines]
    return sorted(line.rstrip() for line in lines)


def make_buckets(endpoint: Endpoint) -> None:
    """Make the buckets of a session. Blocks."""
    client = boto3_client(endpoint)
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=BUCKETS[-1], VersioningConfiguration={"Status": "Enabled"})


def environment(endpoint: Endpoint, state: Path) -> dict[str, str]:
    """Return the variables of a user of the server who has the program installed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    shown = {"PATH": path, "XDG_STATE_HOME": str(state), "COLUMNS": "110", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    return {**os.environ, **endpoint.environment(), **shown}


def typed(page: Path, directory: Path, settings: dict[str, str]) -> Iterator[tuple[Step, list[str], int]]:
    """Type the commands of a page into one shell; yield each with what it printed, and its exit code.

    Blocks until the shell has ended. Background processes have to be ended by the page itself.
    """
    script = []
    expected = []
    for step in steps(page):
        if step.name:
            script.append(f"cat > {step.name} <<'END_OF_FILE'\n{step.text}END_OF_FILE\n")
        else:
            expected.append(step)
            script.append(f'{step.command}\n_s=$?; printf "{_END}%s{_END}" $_s; (exit $_s)\n')
    shell = subprocess.Popen(
        ["bash", "-c", "".join(script)],
        cwd=directory,
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed_all, _ = shell.communicate(timeout=_TIMEOUT_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)  # what a page began and did not end
        shell.wait()
    parts = printed_all.split(_END)
    if len(parts) != 2 * len(expected) + 1:
        raise RuntimeError(f"the shell ended early: {printed_all[-2000:]}")
    shown = {str(directory): "/home/me", settings["AWS_ENDPOINT_URL"]: "http://127.0.0.1:8333"}
    for step, printed, code in zip(expected, parts[::2], parts[1::2], strict=False):
        for text, instead in shown.items():
            printed = printed.replace(text, instead)
        yield step, printed.splitlines(), int(code)


def _record(page: Path) -> None:
    """Write what the commands of a page print now into it."""
    with start_seaweedfs() as endpoint, TemporaryDirectory() as work:
        make_buckets(endpoint)
        directory = Path(work, "work")
        directory.mkdir()
        settings = environment(endpoint, Path(work, "state"))
        printed = iter([lines for _, lines, _ in typed(page, directory, settings)])

    def filled(block: re.Match[str]) -> str:
        if block[1] != "console":
            return block[0]
        lines = []
        for step in _commands(block[2]):
            first, *more = step.command.splitlines()
            lines += [f"$ {first}", *(f"> {line}" for line in more), *next(printed)]
        return "```console\n" + "".join(f"{line.rstrip()}\n" for line in lines) + "```"

    page.write_text(_BLOCK.sub(filled, page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    for _page in sys.argv[1:]:
        _record(ROOT / _page)
