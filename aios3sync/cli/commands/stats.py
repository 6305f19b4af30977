"""``aios3sync stats``: statistics of a bucket or a prefix; writes only their cache, on request."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

import click

from aios3sync._dataclass import asdict, dataclass, replace
from aios3sync.cli.command import run_command
from aios3sync.cli.options import connect_options, connection_options, option_name, output, output_options
from aios3sync.cli.output.choose import choose_view
from aios3sync.cli.output.lines import standard_lines
from aios3sync.cli.output.summary import Conclusion
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.cli.values import DATABASE, FILE, names, read_customer_key, seconds
from aios3sync.core.text import count, duration, printable, size_text
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from aios3sync.cli.output.view import Output, View
    from aios3sync.concurrency import Stop
    from aios3sync.options import ConnectOptions
    from aios3sync.session import Session
    from aios3sync.stats.cache_admin import CacheEntry
    from aios3sync.stats.model import BucketStats

__all__ = ("conclude_stats", "stats_command", "stats_options")

_COMPRESSED: Final = "compressed"
_WRITE: Final = "write"
_CACHE_ACTIONS: Final = ("show", "clear")


class _StatsCommand(ProgramCommand):
    """Accepts ``--detailed`` and ``--cache`` without a value; click would take the bucket as one."""

    explicit = frozenset({"index"})  # a general setting does not choose what is counted

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Add the default values to the options; ``--cache`` before the bucket means to write it."""
        words = []
        for word, following in zip_longest(args, args[1:]):
            if word == "--detailed":
                word = f"--detailed={_COMPRESSED}"
            elif word == "--cache" and following not in _CACHE_ACTIONS:
                word = f"--cache={_WRITE}"
            words.append(word)
        return super().parse_args(ctx, words)


@click.command(
    "stats",
    cls=_StatsCommand,
    profile="bucket",
    short_help="Count objects and bytes, and what compression saves.",
)
@click.argument("target", metavar="s3://BUCKET[/PREFIX]")
@click.option(
    "--sampled", is_flag=True, help="Send a HEAD request for one object of each folder with deltas."
)
@click.option(
    "--detailed",
    type=click.Choice([_COMPRESSED, "all"]),
    metavar="[=all]",
    help="Send a HEAD request for every object that may be compressed, or for all.",
)
@click.option("--gzip", type=names, metavar="EXT,EXT", help="The extensions of compressed files.")
@click.option("--refresh", is_flag=True, help="Count again even if the cache is current.")
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache in the bucket.")
@click.option(
    "--max-age", type=seconds, metavar="AGE", help="Trust a cache younger than this, for example 5m."
)
@click.option("--deltaglider-cache", is_flag=True, help="Trust a cache written by DeltaGlider as well.")
@click.option(
    "--cache",
    type=click.Choice([_WRITE, *_CACHE_ACTIONS]),
    metavar="[show|clear]",
    help="Cache the statistics in the bucket; once they are, each call keeps them current. Or show or clear "
    "the cache.",
)
@click.option("--html", type=FILE, metavar="FILE", help="Also write the statistics as an HTML page.")
@click.option("--watch", type=seconds, metavar="SECONDS", help="Count again every so many seconds.")
@click.option(
    "--list-workers", type=click.IntRange(0), metavar="N", help="Pages of the listing to request at once."
)
@click.option(
    "--index", type=DATABASE, metavar="URL", help="Count the rows of this object index instead of a listing."
)
@click.option("--sse-c-key-file", type=FILE, metavar="FILE", help="The SSE-C key: 32 bytes, raw or base64.")
@click.option("--request-payer", is_flag=True, help="Agree to pay for the requests.")
@connection_options
@output_options
def stats_command(target: str, **values: Any) -> int:
    """Count the objects and bytes of a bucket or a prefix, by folder, extension and size.

    It also shows what compression saves. With --cache they are cached in the bucket: the next call lists, and
    returns the cached ones if nothing has changed. Nothing else is ever written.
    """
    shown, connection, options = output(values), connect_options(values), stats_options(values)
    ask, conclude = _work(target, _action(values), values["index"], options)
    ask = _with_page(ask, values["html"])
    if values["watch"] is not None:
        return _watch(ask, connection, shown, values["watch"])

    async def work(session: Session, _view: View, _stop: Stop) -> Any:
        return await ask(session)

    # The live view is one of uploads and deletes.
    counting = replace(shown.without_progress(), work=f"counting {target}")
    open_view = partial(choose_view, "stats", counting, conclude)
    return run_command(work, connection, open_view)


def _watch(ask: _Work, connection: ConnectOptions, shown: Output, every: float) -> int:
    """Count again at intervals until a signal is received; return the exit code."""
    from aios3sync.cli.output.stats_watch import StatsWatch, counted_repeatedly

    async def work(session: Session, view: StatsWatch, _stop: Stop) -> Any:
        return await counted_repeatedly(ask, view, every)(session)

    def open_view(on_lost: Callable[[], None]) -> StatsWatch:
        return StatsWatch(standard_lines(on_lost)[0], verbose=shown.verbose > 1)

    return run_command(work, connection, open_view)


def stats_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of :meth:`~aios3sync.session.Session.stats`.

    Raises:
        UsageError: a value is invalid, or two options exclude each other.
    """
    if values["sampled"] and values["detailed"]:
        raise UsageError("--sampled and --detailed exclude each other; give one of them")
    for option in ("cache", "refresh", "max_age", "deltaglider_cache"):
        if values["no_cache"] and values[option]:
            raise UsageError(f"--no-cache and {option_name(option)} exclude each other; give one of them")
    _check_output(values)
    mode = "sampled" if values["sampled"] else "detailed" if values["detailed"] else "quick"
    options: dict[str, Any] = {
        "mode": mode,
        "every": values["detailed"] == "all",
        "refresh": values["refresh"],
        "use_cache": not values["no_cache"],
        "create_cache": values["cache"] == _WRITE,
        "deltaglider": values["deltaglider_cache"],
        "request_payer": values["request_payer"],
    }
    for option in ("gzip", "max_age", "list_workers"):
        if values[option] is not None:
            options[option] = values[option]
    if values["sse_c_key_file"]:
        options["sse_customer_key"] = read_customer_key(values["sse_c_key_file"])
    return options


def _action(values: Mapping[str, Any]) -> str | None:
    """Return the action on the cache that replaces counting."""
    action: str | None = values["cache"]
    return action if action in _CACHE_ACTIONS else None


def _check_output(values: Mapping[str, Any]) -> None:
    """Check the options of the output before anything is counted."""
    if values["watch"] is not None:
        if values["watch"] < 1:
            raise UsageError("--watch: is less than a second; give 1 or more")
        for option in ("json", "events", "quiet", "cache"):
            if values.get(option) and values[option] != _WRITE:
                raise UsageError(f"--watch and --{option} exclude each other; give one of them")
    if values["html"] is not None:
        if _action(values):
            raise UsageError("--html and --cache exclude each other; give one of them")
        from aios3sync.stats.html import check_page_path

        check_page_path(values["html"])


_Work = Callable[["Session"], Awaitable[Any]]


def _work(
    target: str, action: str | None, index: str | None, options: dict[str, Any]
) -> tuple[_Work, Callable[[Any], Conclusion]]:
    """Return the work of the command, and the function that summarizes its result."""

    async def count_index(session: Session) -> BucketStats:
        assert index is not None  # noqa: S101 - see below
        async with session.index(index) as opened:
            return await session.stats(target, index=opened, **options)

    if action is None:
        return count_index if index else lambda session: session.stats(target, **options), conclude_stats

    async def use_cache_files(session: Session) -> _CacheResult:
        cache = await session.stats_cache(target)
        if action == "clear":
            return _CacheResult(target, cleared=await cache.clear())
        return _CacheResult(target, tuple(await cache.show()))

    return use_cache_files, _conclude_cache


def _with_page(work: _Work, path: str | None) -> _Work:
    """Return work that also writes its statistics as an HTML page."""
    if path is None:
        return work

    async def work_and_write(session: Session) -> BucketStats:
        from anyio import to_thread

        from aios3sync.stats.html import write_page

        stats: BucketStats = await work(session)
        await to_thread.run_sync(write_page, stats, path)
        return stats

    return work_and_write


def conclude_stats(stats: BucketStats) -> Conclusion:
    """Return the statistics as lines of text."""
    # Loaded here: the terminal library takes as long as counting a small bucket.
    from aios3sync.cli.output.stats_tables import stats_lines

    width = shutil.get_terminal_size((100, 24)).columns
    color = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    lines = stats_lines(stats, width, color=color and not os.environ.get("NO_COLOR"), plain=plain)
    total = f"{count(int(stats.objects.value or 0), 'object')}, {size_text(stats.stored_bytes.value or 0)}"
    written = f"; cached in {printable(stats.cache.path)}" if stats.cache.written else ""
    return Conclusion(
        summary=f"{f'total: {total}' if stats.complete else f'INCOMPLETE: at least {total}'}{written}",
        warnings=stats.warnings,
        tables=tuple(lines),
    )


@dataclass(frozen=True, slots=True)
class _CacheResult:
    """The files of the cache, or the number of deleted ones."""

    target: str
    entries: tuple[CacheEntry, ...] = ()
    cleared: int | None = None

    @property
    def exit_code(self) -> int:
        return 0

    def as_dict(self) -> dict[str, Any]:
        document: dict[str, Any] = {"command": "stats", "location": self.target}
        if self.cleared is not None:
            return {**document, "cleared": self.cleared}
        return {**document, "cache": [asdict(entry) for entry in self.entries]}


def _conclude_cache(cache: _CacheResult) -> Conclusion:
    if cache.cleared is not None:
        return Conclusion(summary=f"cleared {count(cache.cleared, 'cache file')}")
    if not cache.entries:
        return Conclusion(summary="the cache is empty")
    lines = tuple(map(_cache_line, cache.entries))
    hits, misses = sum(one.hits for one in cache.entries), sum(one.misses for one in cache.entries)
    called = f"{count(hits, 'hit')}, {count(misses, 'miss', 'misses')} by this user on this machine"
    return Conclusion(summary=f"{count(len(lines), 'cache file')}; {called}", differences=lines)


def _cache_line(entry: CacheEntry) -> str:
    if entry.computed_at is None:
        state = entry.problem or "no time"
    else:
        age = duration(max(time.time() - entry.computed_at, 0.0))
        state = f"{count(entry.objects or 0, 'object')}, counted {age} ago by {entry.writer}"
    calls = f"{count(entry.hits, 'hit')}, {count(entry.misses, 'miss', 'misses')}"
    return printable(f"{entry.path}: {size_text(entry.size)}, {state}; {calls}")
