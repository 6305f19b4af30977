"""``aios3sync completion``: prints the script with which a shell completes commands, options and profiles."""

from __future__ import annotations

from typing import Final

import click

from aios3sync.cli.output.lines import standard_lines
from aios3sync.cli.program_command import ProgramCommand

__all__ = ("completion_command",)


_WHERE: Final = """\b
bash: aios3sync completion bash > ~/.local/share/bash-completion/completions/aios3sync
zsh:  aios3sync completion zsh > "${fpath[1]}/_aios3sync"
fish: aios3sync completion fish > ~/.config/fish/completions/aios3sync.fish"""


@click.command(
    "completion",
    cls=ProgramCommand,
    short_help="Print the completion script of a shell.",
    epilog=_WHERE,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> int:
    """Print the script with which SHELL completes commands, options, profiles and paths."""
    from click.shell_completion import get_completion_class

    program = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click knows these three
    made = kind(program, {}, "aios3sync", "_AIOS3SYNC_COMPLETE")
    script = made.source_template % made.source_vars()  # source() would run bash to find its version
    for line in script.strip("\n").splitlines():
        standard_lines()[0].line(line)
    return 0
