"""Every block of every page is of a kind that a test executes, so that no new one goes unnoticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs import test_data_blocks, test_python_blocks, test_shell_blocks
from tests.docs.pages import PAGES, README, blocks, fenced, names
from tests.docs.sessions import SESSIONS, steps, written_file

if TYPE_CHECKING:
    from pathlib import Path

EXECUTED_BY = {
    "console": "test_sessions",
    "sh": "test_shell_blocks",
    "python": "test_python_blocks, or a recorded session that writes and runs it",
    "toml": "test_data_blocks",
    "json": "test_data_blocks",
    "ini": "test_data_blocks",
    "yaml": "test_pages, which reads their command lines",
}


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_block_is_executed(page: Path) -> None:
    """A block of another form is one that no test would see: indented, of another language or of none."""
    for block in fenced(page):
        assert block.language in EXECUTED_BY, (
            f"{names(page)}:{block.line}: no test executes {block.language!r}"
        )
        assert block.text in blocks(page, block.language), f"{names(page)}:{block.line}: write it unindented"
    seen = {
        "console": page in SESSIONS,
        "sh": page in test_shell_blocks.WITH_SHELL,
        "toml": page in {page for page, _ in test_data_blocks.TOML},
        "json": page in {page for page, _ in test_data_blocks.JSON},
        "ini": page in {page for page, _ in test_data_blocks.INI},
        "yaml": page in test_data_blocks.YAML,
    }
    for language, is_seen in seen.items():
        assert is_seen == bool(blocks(page, language)), language


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=names)
def test_every_program_is_run(page: Path) -> None:
    """By ``test_python_blocks``; or by a session of its page, which writes it into a file and names that."""
    typed = " ".join(step.command for step in steps(page))
    run = list(test_python_blocks.programs(page))
    for text in blocks(page, "python"):
        is_run = text in run or page == README or names(page) in test_python_blocks.NOT_RUN
        assert is_run or written_file(text) in typed


def test_exceptions_are_of_commands_that_pages_have() -> None:
    """A reason whose command is gone goes, too."""
    commands = {
        command for page in test_shell_blocks.WITH_SHELL for command in test_shell_blocks.commands(page)
    }
    assert set(test_shell_blocks.NOT_RUN) <= commands
    assert set(test_shell_blocks.ENDS) <= commands
    for option in test_shell_blocks.ON_OTHER_MACHINES:
        assert any(option in command for command in commands), option
    run = [command for command in commands if not test_shell_blocks.is_left_out(command)]
    assert len(run) > 100
