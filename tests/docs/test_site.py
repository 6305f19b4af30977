"""The documentation as a site: it builds strictly, is complete, and loads nothing from other hosts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import click
import pytest

from aios3sync.cli.program import program
from tests.docs.pages import ROOT
from tools import site_commands
from tools.docstring_roles import in_markdown
from tools.site import MODULES, api_page, within_site


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """All commands of the program, by what is typed."""
    if path:
        yield " ".join(path), command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            yield from commands(below, (*path, name))


class Loaded(HTMLParser):
    """Collects what a page loads, and the ids that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the places of scripts, styles, images and frames, not those of links."""
        values = dict(attrs)
        if tag != "a":
            self.places += [place for name in ("src", "href", "data") if (place := values.get(name))]
        self.ids.add(values.get("id") or "")


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """One test, since building takes long: what it has and loads is looked at in what was built."""
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    printed = built.stdout + built.stderr
    assert built.returncode == 0, printed
    assert "WARNING" not in printed
    ids: set[str] = set()
    for path in tmp_path.rglob("*.html"):
        text = path.read_text("utf-8")
        page = Loaded()
        page.feed(text)
        assert [place for place in page.places if re.match(r"(\w+:)?//", place)] == [], path
        assert not re.findall(r":(?:class|meth|func|mod|attr):", text), path
        ids |= page.ids
    for path in tmp_path.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", path.read_text("utf-8")), path
    public = {f"{module}.{name}" for module in MODULES for name in import_module(module).__all__}
    assert [name for name in sorted(public - ids) if name.count(".") > 1] == []
    defined = {name.rpartition(".")[2] for name in public & ids}
    assert {name.rpartition(".")[2] for name in public} - defined == set()


@pytest.mark.slow
def test_versions_are_built_next_to_each_other(tmp_path: Path) -> None:
    """In a clone, whose branch it writes: two versions, a selector, and nothing from other hosts."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), str(clone)], check=True)
    roles = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    who = {f"GIT_{role}": "docs@example.com" for role in roles}
    for version in ("0.1", "0.2"):
        command = [sys.executable, "-m", "tools.site_versions", version]
        built = subprocess.run(
            command, cwd=clone, env={**os.environ, **who}, capture_output=True, text=True, check=False
        )
        assert built.returncode == 0, built.stdout + built.stderr
    site = clone / "site"
    listed = json.loads((site / "versions.json").read_text("utf-8"))
    assert [(entry["version"], entry["aliases"]) for entry in listed] == [("0.2", ["latest"]), ("0.1", [])]
    assert "latest/" in (site / "index.html").read_text("utf-8")
    for path in (site / "0.1" / "index.html", site / "latest" / "sync" / "index.html"):
        text = path.read_text("utf-8")
        page = Loaded()
        page.feed(text)
        assert '"provider": "mike"' in text
        assert [place for place in page.places if re.match(r"(\w+:)?//", place)] == []


def test_every_page_is_in_the_navigation() -> None:
    """A page that is added gets its place in ``mkdocs.yml``."""
    navigation = re.findall(
        r"^ +- (?:[^:\n]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE
    )
    assert len(navigation) == len(set(navigation))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - set(navigation) == set()


def test_the_reference_has_every_command_and_option() -> None:
    page = site_commands.page()
    parts = re.split(r"^##+ (.+)$", page, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = dict(commands(program))
    assert list(sections) == [*found, "Connection"]
    for path, command in found.items():
        options = [name for param in command.params for name in param.opts if name.startswith("--")]
        hidden = {name for param in command.params for name in param.opts if getattr(param, "hidden", False)}
        text = sections[path] + (sections["Connection"] if "#connection" in sections[path] else "")
        assert [name for name in options if name not in text and name not in {"--help", *hidden}] == [], path
        assert f"aios3sync {path} " in text
        assert len(sections[path].split("```")[2].strip()) > 10, f"{path} says nothing of itself"


def test_a_name_of_two_modules_is_explained_once() -> None:
    pages = [api_page(module) for module in MODULES]
    explained = [
        name.rpartition(".")[2] for page in pages for name in re.findall(r"^::: (\S+)$", page, re.MULTILINE)
    ]
    assert len(explained) == len(set(explained))
    assert "[`StoreError`](errors.md#aios3sync.errors.StoreError)" in pages[-1]


@pytest.mark.parametrize(
    ("path", "text", "becomes"),
    [
        ("sync.md", "[a](words.md#key)", "[a](words.md#key)"),
        ("sync.md", "[a](#filters) [b](https://example.com/x)", "[a](#filters) [b](https://example.com/x)"),
        ("sync.md", "[a](../CHANGELOG.md)", "[a](changelog.md)"),
        ("sync.md", "[a](../tests/sync/test_deletes.py), [b](words.md)", "a, [b](words.md)"),
        ("changelog.md", "[a](docs/sync.md#filters)", "[a](sync.md#filters)"),
        ("results.md", "![a](RESULTS.svg)", "![a](images/results.svg)"),
        ("results.md", "[![a](RESULTS.svg)](RESULTS.json)", "[![a](images/results.svg)](results.json)"),
        ("sync.md", "```sh\n[a](../tests/x.py)\n```\n", "```sh\n[a](../tests/x.py)\n```\n"),
    ],
)
def test_links_stay_within_the_site(path: str, text: str, becomes: str) -> None:
    assert within_site(text, path) == becomes


@pytest.mark.parametrize(
    ("docstring", "becomes"),
    [
        ("see :class:`~aios3sync.errors.StoreError`.", "see `StoreError`."),
        ("see :meth:`Catalog.source() <aios3sync.catalog.Catalog.source>`", "see `Catalog.source()`"),
        ("see :mod:`aios3sync.events`", "see `aios3sync.events`"),
        ("A run::\n\n    sync()\n", "A run:\n\n    sync()\n"),
        ("A run.\n\n::\n\n    sync()\n", "A run.\n\n\n\n    sync()\n"),
        ("Args:\n    key: what.\n", "Args:\n    key: what.\n"),
        ("``a:b`` and s3://bucket: no role", "``a:b`` and s3://bucket: no role"),
    ],
)
def test_roles_of_docstrings_become_markdown(docstring: str, becomes: str) -> None:
    assert in_markdown(docstring) == becomes
