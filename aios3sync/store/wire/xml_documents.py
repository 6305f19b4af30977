"""Parses XML documents of responses: without entities, elements by name in any namespace; pure."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, XMLParser

from aios3sync.store.s3.errors import InvalidAnswerError

__all__ = ("children", "document", "local_name", "named", "result", "root")


def document(body: bytes | str, name: str) -> Element:
    """Return the root of a document, which must be called ``name``.

    Raises:
        InvalidAnswerError: it is another document, or no XML.
    """
    element = root(body)
    if local_name(element) != name:
        raise InvalidAnswerError(f"not a {name}")
    return element


def result(body: bytes, name: str, member: str) -> Element:
    """Return the root of a document, which must be called ``name`` or have a ``member``.

    Some servers use other names (``ListBucketVersionsResult``), which clients accept.

    Raises:
        InvalidAnswerError: it is another document, or no XML.
    """
    element = root(body)
    if local_name(element) != name and next(named(element, member), None) is None:
        raise InvalidAnswerError(f"not a {name}")
    return element


def root(body: bytes | str) -> Element:
    """Return the root of a document.

    The encoding is fixed, whatever the document claims: so a document type, in which entities are declared,
    cannot hide from the search for it.

    Raises:
        InvalidAnswerError: it is no XML.
    """
    text = body.encode() if isinstance(body, str) else body
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise InvalidAnswerError("a document type")
    parser = XMLParser(encoding="utf-8")  # noqa: S314 - hardened: what is dangerous begins as above
    try:
        parser.feed(text.lstrip())  # servers that take their time send white space first
        element: object = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise InvalidAnswerError("not XML") from error
    if not isinstance(element, Element):
        raise InvalidAnswerError("not XML")
    return element


def local_name(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: Element) -> dict[str, str]:
    """Return the texts of the direct children by name, without their namespace."""
    return {child.tag.rpartition("}")[2]: child.text or "" for child in element}


def named(element: Element, name: str) -> Iterator[Element]:
    """Return the direct children of one name, in any namespace."""
    return (child for child in element if local_name(child) == name)
