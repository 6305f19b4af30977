"""The program: loads the one command that was named, and turns how it ends into an exit code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from traceback import walk_tb
from typing import TYPE_CHECKING, Final

import click

import aios3sync
from aios3sync.cli.errors import tell, tell_lost, tell_usage
from aios3sync.cli.output.lines import flush_output, lost_output, note_lost, open_missing_streams
from aios3sync.core.text import printable

if TYPE_CHECKING:
    import logging

__all__ = ("program", "run")

_COMMANDS: Final = ("sync", "verify", "explain", "manifest", "stats", "index", "catalog", "job")
_LEFT: Final = 141
"""The exit code of a program whose reader left: that of the shell for SIGPIPE."""


class _Commands(click.Group):
    """Loads a command's module when it is asked for, so that no command pays for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"aios3sync.cli.commands.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 failed as a whole; 2 wrong usage; 3 done in part; 4 refused by a guard; "
    "5 another run is at work; 6 verify found differences; 130, 143 stopped by a signal.",
)
@click.version_option(aios3sync.__version__, prog_name="aios3sync", message="%(prog)s %(version)s")
def program() -> None:
    """Keep S3 in step with local directories."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line; errors become one line on stderr and an exit code.

    What could not be printed is an error too, or a script would take an empty answer for one.
    """
    open_missing_streams()
    with _log_shown() if "-vv" in arguments else nullcontext():
        code = _run(arguments)
    flush_output()
    loss = lost_output()
    if loss is None:
        return code
    if isinstance(loss, BrokenPipeError):  # the reader had enough, which is no news to it
        return code or _LEFT
    failed = tell_lost(loss)
    return code or failed


def _run(arguments: Sequence[str]) -> int:
    try:
        code = program.main(list(arguments), prog_name="aios3sync", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        return tell_usage(error)
    except click.Abort:
        return 130
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line, no traceback
        if isinstance(error, OSError) and _is_of_click(error):
            note_lost(error)  # it could not print its help: that is said at the end
            return 0
        return tell(error, verbose="-vv" in arguments)
    return int(code or 0)


def _escaped(record: logging.LogRecord) -> bool:
    """A message may hold what an endpoint said."""
    record.msg, record.args = printable(record.getMessage()), ()
    return True


def _is_of_click(error: BaseException) -> bool:
    """Whether click itself raised it, and not a command of ours."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "click"


@contextmanager
def _log_shown() -> Iterator[None]:
    """Write what the package logs to stderr: limits that change, the lane that is taken."""
    import logging  # ten milliseconds that few command lines need

    log, handler = logging.getLogger("aios3sync"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    handler.addFilter(_escaped)
    before = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
