"""The Python blocks of the pages are run, in order and with common names, on the server of the tests."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import time
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import pytest
from anyio import to_thread

import aios3sync
from tests.docs.pages import PAGES, README, blocks, names
from tests.docs.sessions import SESSIONS, written_file
from tests.docs.worlds import here, make_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aios3sync.testing import Endpoint

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

NOT_RUN: Final = {"docs/cluster.md": "needs a Dask cluster; tests/distributed syncs on one in the same way"}
"""Pages whose blocks are not run here, and why."""

NAMES: Final[dict[str, dict[str, Any]]] = {
    "docs/python.md": {"asyncio": asyncio, "time": time, "aios3sync": aios3sync},
}
"""What a page has imported before its first block."""

PRINTED: Final = {
    "docs/observability.md": ["0 {}", "0"],
    "docs/plans.md": ["old.csv not in the source"],
    "docs/python.md": [
        *("0 8 {}", "8 1", "0 8"),  # one more is in the bucket
        *("PROGRESS", "down 1 0", "9 0", "11 {'md5chksum': 'lf8XZa1HU3EyheqLH1IlcA==', 'mtime': 'TIME'}"),
    ],
    "docs/watch.md": ["8 0"],
    "docs/statistics.md": ["9 0 estimated"],
}
"""What the blocks of a page print."""


def programs(page: Path) -> Iterator[str]:
    """The blocks of a page that no recorded session writes into a file and runs."""
    if page != README and names(page) not in NOT_RUN:
        yield from (text for text in blocks(page, "python") if page not in SESSIONS or not written_file(text))


WITH_PYTHON: Final = tuple(page for page in PAGES if any(programs(page)))


class Reader:
    """Runs the blocks of a page: what waits in a coroutine, where a session is open; the rest in a thread.

    Attributes:
        printed: what the blocks print.
    """

    def __init__(self, known: dict[str, Any]) -> None:
        self.printed: list[str] = []
        self._printed_first = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.names: dict[str, Any] = {"__name__": "page", **known, "print": self._print}

    def _print(self, *values: object) -> None:
        self.printed.append(" ".join(map(str, values)))
        self._loop.call_soon_threadsafe(self._printed_first.set)

    async def run(self, text: str) -> None:
        """Run a block, then the functions without arguments that it defines."""
        code = compile(text, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:
            await self._awaited(eval(code, self.names), text)  # noqa: S307 - a block of our own pages
            return
        await to_thread.run_sync(exec, code, self.names)
        if "asyncio.run(" in text:
            return
        for node in ast.parse(text).body:
            if isinstance(node, ast.AsyncFunctionDef):
                await self._awaited(self.names[node.name](), text)

    async def _awaited(self, work: Any, text: str) -> None:
        """Wait for a block to end; one that watches ends when it has printed what it did first."""
        if ".watch(" not in text:
            await work
            return
        self._printed_first.clear()
        task = asyncio.ensure_future(work)
        printed = asyncio.ensure_future(self._printed_first.wait())
        await asyncio.wait((task, printed), return_when=asyncio.FIRST_COMPLETED)
        printed.cancel()
        assert not task.done(), "it watches until it is cancelled"
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("page", WITH_PYTHON, ids=names)
async def test_blocks_run_and_print(
    page: Path, buckets: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await to_thread.run_sync(make_files, tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "old.csv").write_text("1\n")
    monkeypatch.chdir(tmp_path)
    for name, value in {**buckets.environment(), "COLUMNS": "110"}.items():
        monkeypatch.setenv(name, value)
    async with aios3sync.connect() as s3:
        await s3.sync("data", "s3://my-bucket/data")
        await s3.sync("old", "s3://my-bucket/data")
        reader = Reader({"s3": s3, **NAMES.get(names(page), {})})
        for text in programs(page):
            await reader.run(here(text, buckets, tmp_path))
    printed = [re.sub(r"(?<='mtime': ')[\d.]+", "TIME", line) for line in reader.printed]
    printed = ["PROGRESS" if line.startswith("{'done': ") else line for line in printed]
    assert [line for line, _ in groupby(printed)] == PRINTED.get(names(page), [])
