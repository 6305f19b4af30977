"""Reads and writes short JSON as ``json`` does, which is not loaded: it compiles six patterns."""

from __future__ import annotations

from aios3sync._typing import Any

__all__ = ("read_json", "write_json")


class _Context:
    """What a :class:`json.JSONDecoder` has for the scanner, its part that is written in C."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def read_json(text: str) -> Any:
    """Return the value of a JSON document.

    Raises:
        ValueError: it is none.
    """
    scan: Any
    try:
        from _json import make_scanner as scan

        value, end = scan(_Context)(text, 0)
        if end == len(text):
            return value
    except (ImportError, AttributeError, StopIteration):
        pass  # another interpreter, or nothing that begins like a value
    import json

    return json.loads(text)


def write_json(value: Any, separators: tuple[str, str] = (",", ":")) -> str:
    """Return what ``json.dumps`` returns with these separators, of items and of names.

    Raises:
        TypeError: JSON has no such value.
    """
    make: Any
    try:
        from _json import encode_basestring_ascii as quoted
        from _json import make_encoder as make

        item, name = separators
        return "".join(make({}, None, quoted, None, name, item, False, False, True)(value, 0))
    except (ImportError, TypeError):
        import json  # another interpreter, or the words of the error

        return json.dumps(value, separators=separators)
