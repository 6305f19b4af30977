"""``aios3sync cat``: writes objects to standard output, one after another, each verified at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from aios3sync.cli.command import run_command
from aios3sync.cli.options import as_of_option, connect_options, connection_options, payer_option
from aios3sync.cli.output.choose import result_view
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.summary import Conclusion
from aios3sync.cli.output.view import Output
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.cli.values import FILE, read_customer_key
from aios3sync.core.keys import parse_object

if TYPE_CHECKING:
    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.session import Session

__all__ = ("cat_command",)


_ONE: Final = "cat writes single objects; aios3sync ls --recursive names those below"


@click.command(
    "cat",
    cls=ProgramCommand,
    answers={"--recursive": _ONE, "-r": _ONE},
    short_help="Write objects to standard output.",
)
@click.argument("urls", metavar="s3://BUCKET/KEY...", nargs=-1, required=True)
@click.option(
    "--no-decode", is_flag=True, help="Write objects that a sync has compressed as they are stored."
)
@click.option("--sse-c-key-file", type=FILE, metavar="FILE", help="The SSE-C key: 32 bytes, raw or base64.")
@click.option("-v", "--verbose", count=True, help="-vv prints tracebacks and the log.")
@as_of_option
@payer_option
@connection_options
def cat_command(urls: tuple[str, ...], **values: Any) -> int:
    """Write the bytes of objects to standard output, in the order of the arguments.

    The bytes are verified as they pass: where they turn out to be wrong, or the object changed meanwhile, the
    exit code is 1 although some of them were written.
    """
    for url in urls:
        parse_object(url)
    connection = connect_options(values)
    reading: dict[str, Any] = {"request_payer": bool(values["request_payer"]), "as_of": values["as_of"]}
    if values["sse_c_key_file"]:
        reading["sse_customer_key"] = read_customer_key(values["sse_c_key_file"])

    async def work(session: Session, _view: View, stop: Stop) -> CommandResult:
        from aios3sync.cli.output.object_stream import write_standard_output

        for url in urls:
            async with session.open_reader(url, decode=not values["no_decode"], **reading) as reader:
                async for chunk in reader:
                    await write_standard_output(chunk, stop)
        return CommandResult({}, Conclusion(summary=""))

    return run_command(work, connection, result_view("cat", Output(verbose=values["verbose"])))
