"""The XML of answers, read without document types, so that there are no entities to expand; pure."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError, XMLParser

__all__ = ("InvalidAnswerError", "children", "document")


class InvalidAnswerError(ValueError):
    """The answer is not one of S3; the text says what is missing, and quotes nothing."""


def document(body: bytes | str, name: str) -> Element:
    """The root of a document, if it is called ``name``.

    The encoding is fixed, whatever the document claims: so a document type, which is where entities are
    declared, cannot hide from the search for it.

    Raises:
        InvalidAnswerError: it is another document, or none.
    """
    text = body.encode() if isinstance(body, str) else body
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise InvalidAnswerError("a document type")
    parser = XMLParser(encoding="utf-8")  # noqa: S314 - hardened: what is dangerous begins as above
    try:
        parser.feed(text.lstrip())  # servers that take their time send white space first
        root: object = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise InvalidAnswerError("not XML") from error
    if not isinstance(root, Element) or root.tag.rpartition("}")[2] != name:
        raise InvalidAnswerError(f"not a {name}")
    return root


def children(element: Element) -> dict[str, str]:
    """The texts of the direct children by name, without their namespace."""
    return {child.tag.rpartition("}")[2]: child.text or "" for child in element}
