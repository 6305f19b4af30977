"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml  # type: ignore[import-untyped]  # a part of MkDocs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")))

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^( *)(```+|~~~+)([^\n]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_PROGRAM = "aios3sync"
_REDIRECTIONS = frozenset({">", "2>"})
_SEPARATORS = frozenset({"|", ";", "&", "&&", "||", ">", "2>", "(", ")"})


class Block(NamedTuple):
    """A fenced block, of whatever form.

    Attributes:
        language: all that the fence says.
        line: of the page, where it begins.
        text: what is in it.
    """

    language: str
    line: int
    text: str


def fenced(page: Path) -> list[Block]:
    """All fenced blocks of a page, also indented ones and those without a language."""
    text = page.read_text("utf-8")
    return [
        Block(found[3].strip(), text.count("\n", 0, found.start()) + 1, found[4])
        for found in _FENCED.finditer(text)
    ]


def names(page: Path) -> str:
    """The path of a page within the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    """The texts of the fenced blocks of a page in one of the languages."""
    found = _BLOCK.findall(page.read_text("utf-8"))
    return [text for language, text in found if language in languages]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _BLOCK.sub("", page.read_text("utf-8"))


def shell_lines(page: Path) -> Iterator[str]:
    """The lines of its shell blocks, what its recorded sessions type, jobs of CI and services run."""
    for block in blocks(page, "sh"):
        yield from block.replace("\\\n", " ").splitlines()
    for block in blocks(page, "console"):
        yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))
    for block in blocks(page, "yaml"):
        yield from (text for text in _texts(yaml.safe_load(block)) if text.startswith(_PROGRAM))
    for block in blocks(page, "ini"):
        yield from re.findall(r"^ExecStart=(.+)$", block, re.MULTILINE)


def _texts(document: Any) -> Iterator[str]:
    """All texts of a document of YAML: the commands of a job are some of them."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict | list):
        for value in document.values() if isinstance(document, dict) else document:
            yield from _texts(value)


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
