"""The recorded sessions of the pages, typed into a shell: each command prints what its page says."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import README, ROOT, blocks, names
from tests.docs.sessions import SESSIONS, comparable, environment, steps, typed

if TYPE_CHECKING:
    from pathlib import Path

    from aios3sync.testing.servers import Endpoint

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

SHOWS_THE_CODE = 'echo "exit code $?"'


@pytest.mark.parametrize("page", SESSIONS, ids=names)
def test_commands_print_what_the_page_says(page: Path, buckets: Endpoint, tmp_path: Path) -> None:
    """An exit code other than 0 is shown by the next command."""
    work = tmp_path / "work"
    work.mkdir()
    settings = environment(buckets, tmp_path / "state")
    code = 0
    for step, printed, ended in typed(page, work, settings):
        assert comparable(printed) == comparable(step.printed), step.command
        assert not code or step.command == SHOWS_THE_CODE, f"exit code {code} is not shown"
        code = ended
    assert code == 0
    if page == README:
        (program,) = blocks(README, "python")
        said = subprocess.run(
            [sys.executable, "-c", program],
            cwd=work,
            env=settings,
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout == "0 3 {}\n", "all is uploaded already"


def test_the_pages_are_read() -> None:
    """All lines are looked at: a session begins with a command, and most commands print something."""
    assert {"README.md", "docs/tutorial.md"} <= {names(page) for page in SESSIONS}
    for page, least in ((README, 9), (ROOT / "docs" / "tutorial.md", 20)):
        typed_in = list(steps(page))
        assert sum(step.command.startswith("aios3sync ") for step in typed_in) >= least
        assert sum(bool(step.printed) for step in typed_in) >= least
