"""The error file of a run: every failure as a JSON line, also those that the report cannot hold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from anyio import to_thread

from aios3sync.core.text import escape_json
from aios3sync.report import Failure

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import AsyncBufferedIOBase

__all__ = ("ErrorFile",)


class ErrorFile:
    """JSON lines in a new file next to the manifest, created with the first error.

    Args:
        manifest_path: absolute; the name of the file begins with that of the manifest. Where it is empty, or
            its directory is not writable, it is a temporary file.

    Attributes:
        path: of the file; ``None`` while there is none.
    """

    def __init__(self, manifest_path: str) -> None:
        self._directory, self._name = os.path.split(manifest_path)
        self._file: AsyncBufferedIOBase | None = None
        self.path: str | None = None

    async def append(self, failures: Sequence[Failure]) -> None:
        """Add failures.

        Raises:
            OSError: the file cannot be written.
        """
        import aiofiles  # thirty modules with orjson, and most runs have no failure
        import orjson

        if self._file is None:
            self.path = await to_thread.run_sync(self._new_path)
            self._file = await aiofiles.open(self.path, "ab")
        await self._file.write(b"".join(escape_json(orjson.dumps(failure)) + b"\n" for failure in failures))

    def _new_path(self) -> str:
        import tempfile

        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            descriptor, path = tempfile.mkstemp(
                prefix=f"{self._name}.errors-", suffix=".jsonl", dir=self._directory
            )
        except OSError:
            descriptor, path = tempfile.mkstemp(prefix="aios3sync-errors-", suffix=".jsonl")
        os.close(descriptor)
        return path

    async def close(self) -> None:
        """Finish the file; idempotent."""
        if self._file is not None:
            await self._file.close()
            self._file = None
