"""``aios3sync cp``: copies one file or object, up, down, between buckets, or from and to a pipe."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from aios3sync._dataclass import replace
from aios3sync.cli.command import run_command
from aios3sync.cli.options import (
    as_of_option,
    connect_options,
    connection_options,
    named_by_option,
    output,
    output_options,
    reading_options,
    sync_options,
    upload_options,
)
from aios3sync.cli.output.choose import result_view
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.status_line import StatusLine
from aios3sync.cli.output.summary import Conclusion, speed_text
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.core.keys import SCHEME, parse_address, parse_object
from aios3sync.core.parts import MAX_PARTS, growing_part_size
from aios3sync.core.text import printable, size_text, time_taken
from aios3sync.errors import ObjectNotFoundError, SourceError, UsageError
from aios3sync.events import BytesSent, Event, UploadBegan
from aios3sync.progress import Progress
from aios3sync.sync.upload_options import check_upload_options

if TYPE_CHECKING:
    from aios3sync.cli.output.view import Output, View
    from aios3sync.concurrency import Stop
    from aios3sync.options import SyncOptions
    from aios3sync.session import Session
    from aios3sync.store.protocol import ObjectStore

__all__ = ("cp_command",)

_PIPE: Final = "-"


_ONE: Final = "cp copies one file or object; aios3sync sync copies all that is below"
_ANSWERS: Final = {
    "--recursive": _ONE,
    "-r": _ONE,
    "-n": "write --no-clobber to keep what is in the place of the target; cp has no dry run",
}


@click.command(
    "cp", cls=ProgramCommand, profile="nothing", answers=_ANSWERS, short_help="Copy one file or object."
)
@click.argument("source")
@click.argument("target")
@click.option("--no-clobber", is_flag=True, help="Keep what is in the place of the target.")
@click.option(
    "--no-decode", "decode", flag_value=False, default=None, help="Download compressed objects as stored."
)
@click.option(
    "--no-fsync", "fsync", flag_value=False, default=None, help="Do not wait until a file is on the disk."
)
@as_of_option
@reading_options
@upload_options
@connection_options
@output_options
@click.pass_context
def cp_command(ctx: click.Context, /, source: str, target: str, **values: Any) -> int:
    """Copy one file or object; one or both are s3:// locations, and - is standard input or output.

    A target that is a directory or ends in / gets the name of the source. Files are written under a temporary
    name and renamed when their bytes are verified. Directories are copied by 'aios3sync sync'.
    """
    shown, connection = output(values), connect_options(values)
    job = _Copy(source, target, sync_options(ctx, values), shown, keep=values["no_clobber"])
    copy = job.work()

    async def work(session: Session, view: View, stop: Stop) -> CommandResult:
        try:
            return await copy(session, view, stop)
        finally:
            job.clear()  # whatever comes next begins on an empty line

    if target == _PIPE:
        if shown.json:
            raise UsageError("--json and a copy to standard output exclude each other")
        shown = replace(shown, quiet=True)
    return run_command(work, connection, result_view("cp", shown))


class _Copy:
    """One call of the command."""

    def __init__(self, source: str, target: str, options: SyncOptions, shown: Output, *, keep: bool) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._keep = keep
        self._progress = _ProgressLine(shown)

    def work(self) -> Callable[[Session, View, Stop], Awaitable[CommandResult]]:
        """Return the work of the command.

        Raises:
            UsageError: that is impossible.
        """
        from_bucket, to_bucket = self._source.startswith(SCHEME), self._target.startswith(SCHEME)
        if not (from_bucket or to_bucket):
            raise UsageError(
                "one of source and target must be an s3://bucket/key; cp and rsync copy between local paths"
            )
        if from_bucket:
            self._check_object(self._source)
            if to_bucket:
                return self._between_buckets
            return self._to_pipe if self._target == _PIPE else self._to_file
        named_by_option(lambda: check_upload_options(self._options))
        parse_address(self._target)
        if self._source == _PIPE:
            return self._from_pipe
        if os.path.isdir(self._source) or self._source.endswith(("/", os.sep)):
            raise UsageError(f"{self._source!r} is a directory; 'aios3sync sync' copies directories")
        return self._from_file

    def clear(self) -> None:
        """Erase the status line."""
        self._progress.clear()

    @staticmethod
    def _check_object(url: str) -> None:
        if parse_object(url)[1].endswith("/"):
            raise UsageError(f"{url!r} names a folder; 'aios3sync sync' copies what is below it")

    def _key_of_target(self, name: str) -> tuple[str, str]:
        """Return the bucket and the key of a target, which may be a folder for ``name``."""
        bucket, key = parse_address(self._target)
        return bucket, f"{key}{name}" if not key or key.endswith("/") else key

    async def _store(self, session: Session, bucket: str) -> ObjectStore:
        options = self._options
        return await session.store(
            bucket, sse_customer_key=options.sse_customer_key, request_payer=options.request_payer
        )

    async def _is_taken(self, session: Session, bucket: str, key: str) -> bool:
        """Return whether an object exists that --no-clobber keeps."""
        if not self._keep:
            return False
        try:
            await (await self._store(session, bucket)).head(key)
        except ObjectNotFoundError:
            return False
        return True

    # Up.

    async def _from_file(self, session: Session, _view: View, stop: Stop) -> CommandResult:
        bucket, key = self._key_of_target(os.path.basename(self._source))
        url = f"{SCHEME}{bucket}/{key}"
        if await self._is_taken(session, bucket, key):
            return self._kept(url)
        folder, _, name = key.rpartition("/")
        report = await session.sync(
            {name: self._source},
            f"{SCHEME}{bucket}/{folder}/" if folder or key.startswith("/") else f"{SCHEME}{bucket}",
            options=replace(self._options, manifest=False, no_list=True),
            on_event=self._progress.take,
            stop=stop,
        )
        if not report.uploaded:
            failures = [failure.error for failure in report.errors] or list(report.warnings) or ["stopped"]
            raise SourceError(f"{self._source!r} was not copied: {failures[0]}")
        return self._done("upload", url, report.uploaded_bytes, warnings=report.warnings)

    async def _from_pipe(self, session: Session, _view: View, _stop: Stop) -> CommandResult:
        from aios3sync.cli.output.object_stream import read_standard_input
        from aios3sync.objects.writer import write_object
        from aios3sync.sync.transfers.headers import HeaderPlan
        from aios3sync.sync.transfers.memory import ByteSemaphore

        bucket, key = parse_object(self._target)
        self._check_object(self._target)
        if await self._is_taken(session, bucket, key):
            return self._kept(self._target)
        headers, most = HeaderPlan.of(self._options), self._options.max_parts or MAX_PARTS
        options = replace(
            headers.header_set(key).base, content_type=headers.type_of(key), if_none_match=self._keep
        )
        written = await write_object(
            await self._store(session, bucket),
            key,
            read_standard_input(),
            options,
            ByteSemaphore(session.options.memory),
            part_size=partial(growing_part_size, first=self._options.part_size, most=most),
            on_sent=self._progress.add,
        )
        return self._done("upload", self._target, written.size, etag=written.etag)

    # Down.

    async def _to_file(self, session: Session, _view: View, _stop: Stop) -> CommandResult:
        from anyio import to_thread

        from aios3sync.objects.download import FileOptions, destination_of, download_object
        from aios3sync.objects.versions import at_time

        bucket, key = parse_object(self._source)
        place = await to_thread.run_sync(destination_of, self._target, key.rpartition("/")[2])
        if self._keep and place.replaces is not None:
            return self._kept(place.path)
        written = await download_object(
            await at_time(await self._store(session, bucket), key, self._options.as_of),
            key,
            place,
            FileOptions(
                decode=self._options.decode,
                fsync=self._options.fsync,
                memory=session.options.memory,
                on_bytes=self._progress.add,
            ),
        )
        return self._done(
            "download", written.path, written.size, etag=written.head.etag, verified=written.verified
        )

    async def _to_pipe(self, session: Session, _view: View, stop: Stop) -> CommandResult:
        from aios3sync.cli.output.object_stream import write_standard_output
        from aios3sync.objects.reader import open_object
        from aios3sync.objects.versions import at_time

        bucket, key = parse_object(self._source)
        store = await at_time(await self._store(session, bucket), key, self._options.as_of)
        decode = self._options.decode
        async with open_object(store, key, memory=session.options.memory, decode=decode) as reader:
            async for chunk in reader:
                await write_standard_output(chunk, stop)
        return CommandResult({}, Conclusion(summary=""))

    # Between buckets.

    async def _between_buckets(self, session: Session, _view: View, _stop: Stop) -> CommandResult:
        from aios3sync.listing.as_of import version_at
        from aios3sync.objects.copying import copy_object
        from aios3sync.sync.transfers.headers import HeaderPlan
        from aios3sync.sync.transfers.memory import ByteSemaphore

        bucket, source_key = parse_object(self._source)
        target_bucket, key = self._key_of_target(source_key.rpartition("/")[2])
        url = f"{SCHEME}{target_bucket}/{key}"
        if await self._is_taken(session, target_bucket, key):
            return self._kept(url)
        source = await self._store(session, bucket)
        target = source if bucket == target_bucket else await self._store(session, target_bucket)
        memory, as_of = ByteSemaphore(session.options.memory), self._options.as_of
        version = "" if as_of is None else (await version_at(source, source_key, as_of)).version_id
        asked = HeaderPlan.of(self._options).header_set(key)
        copied = await copy_object(
            *(source, source_key, target, key, memory),
            options=replace(asked.base, content_type=asked.content_type),
            version_id=version,
            on_bytes=self._progress.add,
        )
        return self._done("copy", url, copied.size, etag=copied.etag, streamed=copied.streamed)

    # Results.

    def _done(
        self, verb: str, target: str, size: int, *, warnings: tuple[str, ...] = (), **facts: Any
    ) -> CommandResult:
        document = {
            "command": "cp",
            "action": verb,
            "source": self._source,
            "target": target,
            "bytes": size,
            **facts,
        }
        line = f"{verb}: {printable(self._source)} to {printable(target)} ({size_text(size)})"
        seconds = self._progress.elapsed
        line += f" in {time_taken(seconds)}{speed_text(1, size, seconds)}"
        return CommandResult(document, Conclusion(line, warnings=warnings))

    def _kept(self, target: str) -> CommandResult:
        document = {"command": "cp", "action": "keep", "source": self._source, "target": target, "bytes": 0}
        return CommandResult(document, Conclusion(f"kept: {printable(target)} is there already"))


class _ProgressLine:
    """Shows how many bytes have been copied, and how fast."""

    def __init__(self, shown: Output) -> None:
        self._line = StatusLine(shown)
        self._progress = Progress(downloads=1)
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self._began

    def add(self, size: int, total: int = 0) -> None:
        """Add bytes."""
        self._progress.received += size
        self._progress.download_size = total
        self._line.show(self._text)

    def take(self, event: Event) -> None:
        """Take an event of an upload."""
        if isinstance(event, UploadBegan):
            self._progress.download_size = event.size
        elif isinstance(event, BytesSent):
            self.add(event.size, self._progress.download_size)

    def clear(self) -> None:
        """Erase the line."""
        self._line.clear()

    def _text(self) -> str:
        self._progress.sample(time.monotonic())
        done, total = self._progress.received, self._progress.download_size
        of = f" of {size_text(total)} ({100 * min(done, total) // total}%)" if total else ""
        return f"{size_text(done)}{of}, {size_text(self._progress.rates().bytes)}/s"
