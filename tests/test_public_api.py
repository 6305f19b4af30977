"""The public API: what it lists, who keeps to it, and that all that it returns or takes has a public name.

``public_api.txt`` is the list that users rely on: a line that goes, or is renamed, breaks their programs.
The faces and the code that uses them are read with ``ast``; only the names themselves are loaded.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import PAGES, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = "aios3sync"
LIST = Path(__file__).with_name("public_api.txt")

PUBLIC = tuple(
    f"{PACKAGE}{name}"
    for name in (
        *("", ".catalog", ".errors", ".events", ".images", ".index", ".manifest", ".observers"),
        *(".progress", ".stats", ".store", ".testing"),
    )
)

# They measure private parts by themselves, and change with them.
MEASURES_PARTS = ("benchmarks/micro/", "benchmarks/scale/", "benchmarks/index.py")

Named = tuple[str, str]
"""A module and a name that it defines."""


@cache
def path_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def body_of(module: str) -> list[ast.stmt]:
    return ast.parse(path_of(module).read_text("utf-8")).body


@cache
def listed(module: str) -> frozenset[str]:
    """The names in ``__all__``."""
    for node in body_of(module):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(node.value))
    raise AssertionError(f"{module} has no __all__")


@cache
def scope_of(module: str) -> dict[str, ast.AST | Named]:
    """What each global name of a module is: a definition, or the module and name that it is imported from."""
    scope: dict[str, ast.AST | Named] = {}

    def read(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                scope[node.name] = node
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                scope[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
                scope[node.target.id] = node.value
            elif isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
                scope.update({alias.asname or alias.name: (node.module, alias.name) for alias in node.names})
            elif isinstance(node, ast.If):
                read([*node.body, *node.orelse])

    read(body_of(module))
    return scope


def _is_ours(module: str) -> bool:
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


def definition(module: str, name: str) -> tuple[str, str, ast.AST] | None:
    """Where a name that a module knows is defined, and how; ``None`` for those that are not ours."""
    found = scope_of(module).get(name)
    if isinstance(found, tuple):
        return definition(*found)
    return None if found is None else (module, name, found)


def public_definitions() -> dict[Named, ast.AST]:
    found = {}
    for module in PUBLIC:
        for name in listed(module):
            defined = definition(module, name)
            assert defined is not None, f"{module} lists {name}, which is defined nowhere"
            found[defined[0], defined[1]] = defined[2]
    return found


# The lists


def test_the_lists_are_those_that_users_know() -> None:
    """A name that comes or goes is a decision: it changes ``public_api.txt`` as well."""
    names = sorted(f"{module}.{name}" for module in PUBLIC for name in listed(module))
    assert LIST.read_text("utf-8").split() == names, "write this:\n" + "\n".join(names)


@pytest.mark.parametrize("module", PUBLIC)
def test_every_name_is_there(module: str) -> None:
    """All that a list names can be loaded, is shown by ``dir()``, and is seen by type checkers."""
    face = import_module(module)
    for name in listed(module):
        assert getattr(face, name) is not None
        assert name in dir(face)
        assert definition(module, name) is not None


@pytest.mark.parametrize("module", PUBLIC)
def test_names_of_no_thing_are_refused(module: str) -> None:
    """A misspelt name is an ``AttributeError`` that names the module."""
    with pytest.raises(AttributeError, match=re.escape(module)):
        _ = import_module(module).NoSuchName


# Who uses it


def documented_blocks() -> Iterator[tuple[str, str]]:
    """The blocks of Python of README and of the pages in docs: where, and what."""
    for page in PAGES:
        for number, block in enumerate(blocks(page, "python"), 1):
            yield f"{page.name} block {number}", block


def users() -> Iterator[tuple[str, str]]:
    """The programs of this repository that a user could have written: where, and what."""
    for place, block in documented_blocks():
        # Some blocks are the inside of a coroutine.
        inside = "".join(f"    {line}\n" for line in block.splitlines())
        yield place, block if "\nasync def main" in block else f"async def main():\n{inside}"
    for folder in ("examples", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(MEASURES_PARTS):
                yield name, path.read_text("utf-8")


def used(tree: ast.AST) -> Iterator[Named]:
    """The modules of ours that a program imports, each with the names that it takes of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if _is_ours(alias.name))
        elif (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == PACKAGE
        ):
            yield PACKAGE, node.attr


@pytest.mark.parametrize(("place", "text"), list(users()), ids=[place for place, _ in users()])
def test_programs_use_public_names(place: str, text: str) -> None:
    """README, docs, examples and benchmarks import what is public, and nothing else."""
    for module, name in used(ast.parse(text)):
        assert module in PUBLIC, f"{place} imports {module}"
        known = {"", "__version__", *(name.rpartition(".")[2] for name in PUBLIC)}
        assert name in listed(module) | known, f"{place} takes {name} of {module}"


# What its annotations name


def visible_annotations(module: str, node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The annotations that a user of a definition sees, each with the module that it is written in."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        every = [item for item in ast.walk(node.args) if isinstance(item, ast.arg)]
        seen = [item.annotation for item in every if item.arg not in {"self", "cls"}]
        yield from ((module, annotation) for annotation in (*seen, node.returns) if annotation)
    elif isinstance(node, ast.ClassDef):
        for item in node.body:
            if _is_public(item):
                yield from visible_annotations(module, item)
        for base in node.bases:
            if isinstance(base, ast.Name) and (found := definition(module, base.id)):
                yield from visible_annotations(found[0], found[2])
    elif isinstance(node, ast.AnnAssign):
        yield module, node.annotation
    elif isinstance(node, ast.expr):
        yield module, node


def _is_public(item: ast.stmt) -> bool:
    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
        return not item.name.startswith("_") or item.name == "__call__"
    return isinstance(item, ast.AnnAssign) and not ast.unparse(item.target).startswith("_")


def unnamed(module: str, annotation: ast.expr, public: dict[Named, ast.AST]) -> Iterator[str]:
    """The classes in an annotation that have no public name; an alias counts as what it names."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            node = ast.Name(node.value)
        if isinstance(node, ast.Name) and (found := definition(module, node.id)):
            home, name, defined = found
            if (home, name) in public:
                continue
            if isinstance(defined, ast.ClassDef):
                yield f"{home}.{name}"
            elif isinstance(defined, ast.expr) and not ast.unparse(defined).startswith("TypeVar("):
                yield from unnamed(home, defined, public)


@pytest.mark.parametrize("named", sorted(public_definitions()), ids=".".join)
def test_what_is_returned_or_taken_has_a_public_name(named: Named) -> None:
    """A program with annotations can name every value that it gets from the API or gives to it."""
    public = public_definitions()
    missing = {
        f"{name} in {ast.unparse(annotation)}"
        for module, annotation in visible_annotations(named[0], public[named])
        for name in unnamed(module, annotation, public)
    }
    assert not missing, "; ".join(sorted(missing))
