"""The messages that the page of troubleshooting explains are those that the program prints."""

from __future__ import annotations

import ast
import re

from tests.docs.pages import ROOT

_PAGE = ROOT / "docs" / "troubleshooting.md"


def messages() -> list[str]:
    """The messages of the table."""
    return re.findall(r"^\| `([^`]+)` \|", _PAGE.read_text("utf-8"), re.MULTILINE)


def test_messages_are_printed_by_the_program() -> None:
    texts = "\n".join(
        node.value
        for path in sorted((ROOT / "aios3sync").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    assert len(messages()) >= 10
    missing = [text for text in messages() for part in text.split("…") if part.strip() not in texts]
    assert not missing
