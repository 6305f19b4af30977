"""The front page and the documentation: links exist, command lines are accepted, words are plain."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import click
import pytest

from aios3sync.cli.program import program
from tests.docs.pages import PAGES, README, ROOT, anchors, blocks, command_lines, names, prose

if TYPE_CHECKING:
    from pathlib import Path

_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_WORDS = re.compile(r"\b(told|nobody|whoever|beside|stands|goes the usual way)\b|/work/", re.IGNORECASE)

COMMANDS = [
    pytest.param(page, arguments, id=f"{page.stem}: {' '.join(arguments)}"[:90])
    for page in PAGES
    for arguments in command_lines(page)
]


def links(page: Path) -> list[str]:
    """What a page links to within the repository, images too."""
    text = re.sub(r"`[^`]*`", "", prose(page))
    found = _LINK.findall(text) + re.findall(r"\]\(([^)\s]+)\)", text)
    return sorted({link for link in found if not link.startswith(("http:", "https:", "mailto:"))})


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_relative_links_exist(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{names(page)}: {link}"
        assert there.is_relative_to(ROOT), f"{names(page)}: {link}"
        if anchor:
            assert anchor in anchors(there), f"{names(page)}: {link}"


def test_the_front_pages_lead_to_every_page() -> None:
    """README, or the front page of the site that it names, has a link to each."""
    front = ROOT / "docs" / "index.md"
    fronts = (README, front)
    found = {(page.parent / link.partition("#")[0]).resolve() for page in fronts for link in links(page)}
    assert front in found
    assert set(PAGES) - {README} <= found


def test_the_front_page_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_words_are_plain(page: Path) -> None:
    assert not _WORDS.findall(page.read_text("utf-8"))


@pytest.mark.parametrize(("page", "arguments"), COMMANDS)
def test_command_lines_are_accepted(
    page: Path, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program has every command and option that a page shows, and takes the values.

    The configuration file is that of its page, or the one of the page about it.
    """
    monkeypatch.chdir(tmp_path)
    files = blocks(page, "toml") or blocks(ROOT / "docs" / "configuration.md", "toml")
    (tmp_path / "aios3sync.toml").write_text(files[0])
    command: click.Command = program
    context = click.Context(program, info_name="aios3sync", **program.context_settings)
    rest = [re.sub(r"^\$\w+$", "2026-11-30T12:00:00Z", word) for word in arguments]  # a variable of the shell
    if rest == ["--version"]:
        return
    while isinstance(command, click.Group):
        name = rest.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"{names(page)}: no command {name}"
        command = found
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name, parent=context)
    command.make_context(command.name, rest, parent=context)


def test_the_session_is_the_recorded_one() -> None:
    """The image shows the commands that its script runs now."""
    script = (ROOT / "examples" / "record_session.py").read_text("utf-8")
    (session,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(script).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SESSION"
    ]
    image = ET.parse(ROOT / "docs" / "images" / "session.svg")  # noqa: S314 - our own file
    shown = "".join(image.getroot().itertext()).replace("\xa0", " ")
    places = [shown.find(line) for line in session]
    assert -1 not in places
    assert places[0] < places[-1]


def test_images_load_nothing() -> None:
    """Images are drawings alone: no scripts, no fonts or pictures of other hosts."""
    images = sorted((ROOT / "docs" / "images").glob("*.svg"))
    assert images
    for image in images:
        text = image.read_text("utf-8")
        assert ET.fromstring(text).tag.endswith("svg")  # noqa: S314 - our own file
        assert len(text) < 40_000
        assert not re.search(r"<script|<image|@font-face|@import|url\((?!#)|/tmp/", text), image.name
        assert re.findall(r"https?://[^\s\"]+", text) == ["http://www.w3.org/2000/svg"]
