"""``aios3sync ls``: lists objects and folders as they arrive; only a few pages are in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from aios3sync._dataclass import dataclass
from aios3sync.cli.command import run_command
from aios3sync.cli.options import connect_options, connection_options, payer_option
from aios3sync.cli.output.lines import standard_lines
from aios3sync.cli.output.object_lines import JsonObjectLines, ObjectLines
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.core.keys import parse_address
from aios3sync.errors import ObjectNotFoundError

if TYPE_CHECKING:
    from aios3sync.concurrency import Stop
    from aios3sync.core.entries import TargetEntry
    from aios3sync.session import Session

__all__ = ("ls_command",)


@click.command("ls", cls=ProgramCommand, profile="bucket", short_help="List objects and folders.")
@click.argument("url", metavar="s3://BUCKET[/PREFIX]")
@click.option("--recursive", is_flag=True, help="List all objects below, not the folders.")
@click.option("--human-readable", "-H", "human", is_flag=True, help="Print sizes with units.")
@click.option("--summarize", is_flag=True, help="Print how many objects and bytes were listed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("-v", "--verbose", count=True, help="-vv prints tracebacks and the log.")
@payer_option
@connection_options
def ls_command(url: str, **values: Any) -> int:
    """List what begins with PREFIX, as aws s3 ls does: s3://b/pre lists pre/, pre.txt and prefix.txt.

    Folders end at the next slash; without --recursive names are shown below the last slash of PREFIX. Times
    are local. Exit code 1 if nothing begins with PREFIX.
    """
    bucket, prefix = parse_address(url)
    connection = connect_options(values)
    recursive: bool = values["recursive"]
    verbose = values["verbose"] > 1

    def open_view(on_lost: Callable[[], None]) -> ObjectLines:
        kind = JsonObjectLines if values["as_json"] else ObjectLines
        cut = 0 if recursive else prefix.rfind("/") + 1
        return kind(standard_lines(on_lost)[0], cut=cut, human=values["human"], verbose=verbose)

    async def work(session: Session, view: ObjectLines, _stop: Stop) -> _Listed:
        from aios3sync.objects.listing import list_objects

        sums = _Sums(view)
        store = await session.store(bucket, request_payer=bool(values["request_payer"]))
        await list_objects(store, prefix, sums.page, recursive=recursive)
        if prefix and not sums.found:
            raise ObjectNotFoundError(f"nothing in s3://{bucket} begins with {prefix!r}", bucket=bucket)
        if values["summarize"]:
            view.total(sums.objects, sums.size)
        return _Listed()

    return run_command(work, connection, open_view)


@dataclass(frozen=True, slots=True)
class _Listed:
    """The end of a listing."""

    exit_code: int = 0


class _Sums:
    """Prints the pages, and adds up their objects and bytes."""

    def __init__(self, view: ObjectLines) -> None:
        self.objects = self.size = 0
        self.found = False
        self._view = view

    def page(self, entries: Sequence[TargetEntry], folders: Sequence[str]) -> None:
        self.objects += len(entries)
        self.size += sum(entry.size for entry in entries)
        self.found = self.found or bool(entries or folders)
        self._view.page(entries, folders)
