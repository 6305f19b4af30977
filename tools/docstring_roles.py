"""Makes Markdown of the roles in docstrings, for the pages of the API: an extension of griffe."""

from __future__ import annotations

import re
from typing import Any, Final

import griffe

__all__ = ("Roles", "in_markdown")

_ROLE: Final = re.compile(
    r":(?:\w+:)?(?:class|meth|func|mod|attr|data|exc|obj):`(?:([^`<]*?)\s*<([^`>]+)>|([^`]+))`"
)
_LITERAL_BLOCK: Final = re.compile(r"^([ \t]*)(.*?)(:?):[ \t]*$(?=\n(?:[ \t]*\n)+\1[ \t]+\S)", re.MULTILINE)


def in_markdown(docstring: str) -> str:
    """Return the docstring with code for each role, and a plain colon before blocks of code.

    ``:class:`~a.b.C``` becomes ``C``, with two backticks, ``:meth:`C.d() <a.b.C.d>``` its text.
    """

    def code(found: re.Match[str]) -> str:
        text, target, plain = found.groups()
        if plain is None:
            return f"`{(text or target).strip()}`"
        return f"`{plain.rpartition('.')[2] if plain.startswith('~') else plain}`"

    replaced = _ROLE.sub(code, docstring)
    return _LITERAL_BLOCK.sub(
        lambda m: f"{m[1]}{m[2]}:" if m[2] and m[3] else (m[1] if m[3] else m[0]), replaced
    )


class Roles(griffe.Extension):
    """Rewrites every docstring once it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = in_markdown(obj.docstring.value)
