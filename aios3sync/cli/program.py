"""The program: loads the named command, and converts its errors to one line and an exit code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Final

import click

import aios3sync
from aios3sync.cli.config_file import near
from aios3sync.cli.errors import print_error, print_usage_error
from aios3sync.cli.habits import TAKEN_COMMANDS, answer_for_command
from aios3sync.cli.output.lines import note_lost
from aios3sync.core.text import printable
from aios3sync.store.s3.redaction import redacted

if TYPE_CHECKING:
    import logging

__all__ = ("program", "run_program")

_COMMANDS: Final = (
    "sync",
    "apply",
    "verify",
    "explain",
    "doctor",
    "ls",
    "cp",
    "cat",
    "rm",
    "manifest",
    "stats",
    "index",
    "catalog",
    "job",
    "config",
    "completion",
)


class _Commands(click.Group):
    """Loads only the module of the named command, so that no command pays for the imports of another."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        name = TAKEN_COMMANDS.get(cmd_name, cmd_name)
        if name not in _COMMANDS:
            return None
        module = import_module(f"aios3sync.cli.commands.{name}")
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move options of the connection that come before the command, as with aws and s5cmd, after it."""
        if args and args[0].startswith("-") and not ctx.resilient_parsing:
            from aios3sync.cli.leading_options import moved_after

            args = moved_after(self, ctx, args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """For names of other tools' commands name ours, and for misspelt ones similar ones."""
        name = args[0]
        if not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            answer = answer_for_command(name)
            if answer is None and not name.startswith("-"):
                answer = f"No such command {name!r}{near(name, dict.fromkeys(_COMMANDS))}"
            if answer is not None:
                raise click.UsageError(answer, ctx=ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 failed as a whole; 2 wrong usage; 3 done in part; 4 refused by a guard; "
    "5 another run is at work; 6 verify found differences; 130, 143 stopped by a signal.",
)
@click.version_option(aios3sync.__version__, prog_name="aios3sync", message="%(prog)s %(version)s")
def program() -> None:
    """Keep S3 in step with local directories."""


def run_program(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors become one line on standard error."""
    with _log_shown() if "-vv" in arguments else nullcontext():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        code = program.main(list(arguments), prog_name="aios3sync", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        return print_usage_error(error)
    except click.Abort:
        return 130
    except Exception as error:  # noqa: BLE001 - whatever no command caught: one line, no traceback
        if isinstance(error, OSError) and _is_raised_by_click(error):
            note_lost(error)  # the help could not be printed: reported at the end
            return 0
        return print_error(error, verbose="-vv" in arguments)
    return int(code or 0)


def _escaped(record: logging.LogRecord) -> bool:
    """Escape the message, which may contain text of an endpoint, and hide secrets; a log filter."""
    record.msg, record.args = printable(redacted(record.getMessage())), ()
    return True


def _is_raised_by_click(error: BaseException) -> bool:
    """Whether click itself raised the error, and not one of our commands."""
    from traceback import walk_tb

    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "click"


@contextmanager
def _log_shown() -> Iterator[None]:
    """Write the log of the package to standard error: changed limits, the chosen transport."""
    import logging  # takes ten milliseconds, which few command lines need

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
