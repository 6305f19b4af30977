"""The keyword arguments of the public methods are the fields of the options, name by name and type by type.

Type checkers read the classes of keywords as they are written, so an option that is new or changed has a line
there as well. Where it is missing, the failure prints the lines to write.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from aios3sync import ConnectOptions, Session, StatsOptions, SyncOptions, connect
from aios3sync._dataclass import defaults_of
from aios3sync.index import ObjectIndex
from aios3sync.index.follow.report import FollowKeywords, FollowOptions
from aios3sync.keywords import ConnectKeywords, SyncKeywords
from aios3sync.stats.options import StatsKeywords

PAIRS = [
    (ConnectOptions, ConnectKeywords),
    (SyncOptions, SyncKeywords),
    (StatsOptions, StatsKeywords),
    (FollowOptions, FollowKeywords),
]

# What the options convert: the annotation of a field, and what callers may give. A type that is not listed is
# taken as it is. One text is no list of texts: Sequence[str] would let it pass.
GIVEN = {
    "FilePath": "str | os.PathLike[str]",
    "Moment": "float | str",
    "Seconds": "float | str",
    "Size": "int | str",
    "tuple[str, ...]": "Texts",
    "tuple[tuple[str, ...], ...]": "Sequence[tuple[str, ...]]",
}


@cache
def fields_of(kind: type) -> dict[str, str]:
    """The annotations of a class as they are written."""
    text = Path(inspect.getsourcefile(kind) or "").read_text("utf-8")
    found = next(
        node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )
    return {
        node.target.id: ast.unparse(node.annotation)
        for node in found.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def given(annotation: str) -> str:
    """The type of a keyword for a field of this type."""
    node = ast.parse(annotation, mode="eval").body
    if isinstance(node, ast.BinOp):
        return f"{given(ast.unparse(node.left))} | {given(ast.unparse(node.right))}"
    return GIVEN.get(annotation, annotation)


def body_of(kind: type) -> str:
    """The body of the class of keywords for a class of options."""
    return "\n".join(f"    {name}: {given(hint)}" for name, hint in fields_of(kind).items())


@pytest.mark.parametrize(("options", "keywords"), PAIRS, ids=lambda kind: kind.__name__)
def test_the_keywords_are_the_options(options: type, keywords: type) -> None:
    written = "\n".join(f"    {name}: {hint}" for name, hint in fields_of(keywords).items())
    assert written == body_of(options), f"let the body of {keywords.__name__} be\n{body_of(options)}"
    assert not keywords.__required_keys__  # type: ignore[attr-defined]


@pytest.mark.parametrize(("options", "keywords"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_annotation_has_a_meaning(options: type, keywords: type) -> None:
    """The types of keywords are names that exist, also at run time: for tools that make forms of them."""
    assert get_type_hints(keywords).keys() == defaults_of(options).keys() == fields_of(options).keys()


def public_methods() -> list[tuple[str, Any]]:
    """What a program calls, with the names of its classes."""
    found = [("connect", connect)]
    for kind in (Session, ObjectIndex):
        found += [
            (f"{kind.__name__}.{name}", method)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        ]
    return found


@pytest.mark.parametrize(("name", "method"), public_methods(), ids=[name for name, _ in public_methods()])
def test_no_method_takes_just_anything(name: str, method: Any) -> None:
    """Keyword arguments are named, or those of a class of keywords: editors complete them."""
    for parameter in inspect.signature(method).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            known = {f"Unpack[{keywords.__name__}]" for _, keywords in PAIRS}
            assert parameter.annotation in known, f"{name}: **{parameter.name}: {parameter.annotation}"
