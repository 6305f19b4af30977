"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")))

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROGRAM = "aios3sync"
_REDIRECTIONS = frozenset({">", "2>"})
_SEPARATORS = frozenset({"|", ";", "&", "&&", "||", ">", "2>", "(", ")"})


def blocks(page: Path, *languages: str) -> list[str]:
    """The texts of the fenced blocks of a page in one of the languages."""
    found = _BLOCK.findall(page.read_text("utf-8"))
    return [text for language, text in found if language in languages]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _BLOCK.sub("", page.read_text("utf-8"))


def shell_lines(page: Path) -> Iterator[str]:
    """The lines of its shell blocks, and what its recorded sessions type."""
    for block in blocks(page, "sh"):
        yield from block.replace("\\\n", " ").splitlines()
    for block in blocks(page, "console"):
        yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))


def command_lines(page: Path) -> Iterator[list[str]]:
    """The arguments of each call of the program in the shell lines of a page."""
    for line in shell_lines(page):
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        found: list[str] | None = None
        is_file = False
        for word in words:
            if is_file:
                is_file = False  # what a redirection names is no program
            elif word in _SEPARATORS:
                is_file = word in _REDIRECTIONS
                if found is not None:
                    yield found
                found = None
            elif found is not None:
                found.append(word)
            elif word.rpartition("/")[2] == _PROGRAM:
                found = []
        if found is not None:
            yield found


def anchors(page: Path) -> set[str]:
    """The names that links to the headings of a page have, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
