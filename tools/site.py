"""Hooks of MkDocs: pages that are generated, and links that lead out of the folder of the pages.

The pages in ``docs`` are written to be read in the repository too, so they link to its files. Some of these
are pages of the site; a link to any other becomes its text.
"""

from __future__ import annotations

import os
import posixpath
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File, Files

from tools import site_commands

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

__all__ = (
    "MODULES",
    "VERSIONED",
    "api_page",
    "on_config",
    "on_files",
    "on_page_content",
    "on_page_markdown",
    "within_site",
)

ROOT: Final = Path(__file__).parents[1]
VERSIONED: Final = "DOCS_VERSIONED"
"""The variable of the environment that asks for the selector: one version alone has no list to load."""
MODULES: Final = (
    *("aios3sync.catalog", "aios3sync.errors", "aios3sync.events", "aios3sync.images", "aios3sync.index"),
    *("aios3sync.manifest", "aios3sync.observers", "aios3sync.progress", "aios3sync.stats"),
    *("aios3sync.store", "aios3sync.testing", "aios3sync"),
)
"""The public modules; a name that two of them list is explained by the first."""

_FIRST: Final = ("Session", "connect")
"""What every program begins with."""

_FILES: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "README.md": "index.md",
    "benchmarks/RESULTS.md": "results.md",
    "benchmarks/RESULTS.svg": "images/results.svg",
    "benchmarks/RESULTS.json": "results.json",
}
"""Files of the repository, and where the site has them."""

_LINK: Final = re.compile(r"(!?)\[((?:[^\]\[`]|`[^`]*`|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_SHORT_CODE: Final = re.compile(r"<code>([^<\n]{1,40})</code>")
_FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the selector of versions where several are built (``python -m tools.site_versions``)."""
    if os.environ.get(VERSIONED):
        config.extra["version"] = {"provider": "mike"}
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are generated, and those that are files of the repository."""
    for source, target in _FILES.items():
        if source != "README.md":
            files.append(File.generated(config, target, content=(ROOT / source).read_text("utf-8")))
    files.append(File.generated(config, "commands.md", content=site_commands.page()))
    for module in MODULES:
        files.append(File.generated(config, _page_of(module), content=api_page(module)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Make the links of a page those of the site."""
    path = page.file.src_uri
    return within_site(markdown, path)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Mark short pieces of code, which the style sheet keeps on one line: browsers break after a hyphen."""
    return _SHORT_CODE.sub(r'<code class="short">\1</code>', html)


def within_site(markdown: str, path: str) -> str:
    """Return the text of a page with links within the site alone, or to other hosts.

    Args:
        markdown: the text.
        path: of the page in the site, ``sync.md``.
    """
    origin = next((source for source, target in _FILES.items() if target == path), f"docs/{path}")
    if path == "index.md":
        origin = "docs/index.md"

    def link(found: re.Match[str]) -> str:
        picture, text, target = found.groups()
        text = _LINK.sub(link, text)
        place, mark, anchor = target.partition("#")
        if not place or re.match(r"[a-z]+:", place):
            return f"{picture}[{text}]({target})"
        absolute = posixpath.normpath(posixpath.join(posixpath.dirname(origin), place))
        inside = absolute.removeprefix("docs/") if absolute.startswith("docs/") else _FILES.get(absolute)
        if inside is None:
            return text
        relative = posixpath.relpath(inside, posixpath.dirname(path) or ".")
        return f"{picture}[{text}]({relative}{mark}{anchor})"

    parts = []
    end = 0
    for block in _FENCED.finditer(markdown):
        parts += [_LINK.sub(link, markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, _LINK.sub(link, markdown[end:])])


def _page_of(module: str) -> str:
    name = module.rpartition(".")[2]
    return f"api/{'object-index' if name == 'index' else name}.md"  # index.md would be the page of the folder


def api_page(module: str) -> str:
    """Return the page of a public module: what its docstring says, and each name that it lists."""
    earlier = {
        name: before
        for before in reversed(MODULES[: MODULES.index(module)])
        for name in import_module(before).__all__
    }
    names = import_module(module).__all__
    here = [name for name in names if name not in earlier]
    lines = [f"# {module}", ""]
    if elsewhere := [name for name in names if name in earlier]:
        pages = {name: _page_of(earlier[name]).removeprefix("api/") for name in elsewhere}
        links = [f"[`{name}`]({pages[name]}#{earlier[name]}.{name})" for name in elsewhere]
        lines += [f"Explained with their part of the package: {', '.join(links)}.", ""]
    for name in sorted(here, key=lambda name: name not in _FIRST):
        lines += [f"::: {module}.{name}", ""]
    return "\n".join(lines)
