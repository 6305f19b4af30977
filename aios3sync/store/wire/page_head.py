"""Reads what a page of a listing says of itself, without its entries; pure, and quick to load.

Building the tree of a document takes modules that need as long to load as a page to be read: here the parser
beneath them, expat, reports the elements.
"""

from __future__ import annotations

from xml.parsers.expat import ExpatError, ParserCreate

from aios3sync._namedtuple import NamedTuple
from aios3sync.store.s3.errors import InvalidAnswerError

__all__ = ("PageHead", "read_head")


class PageHead(NamedTuple):
    """What a page says of itself.

    Attributes:
        facts: the texts of the direct children of its root by name, without their namespace.
        prefixes: its common prefixes, as they are written.
        contents: how many entries it has.
    """

    facts: dict[str, str]
    prefixes: list[str]
    contents: int


def read_head(text: str, name: str) -> PageHead:
    """Read a document whose entries are empty, and whose root must be called ``name``.

    Raises:
        InvalidAnswerError: it is another document, or no XML, or it has a document type, in which entities
            could be declared.
    """
    if "<!" in text:
        raise InvalidAnswerError("a document type")
    reader = _Reader()
    # The encoding is fixed, whatever the document claims.
    parser = ParserCreate("utf-8", "}")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.take
    try:
        parser.Parse(text.lstrip().encode(), True)
    except (ExpatError, UnicodeEncodeError) as error:
        raise InvalidAnswerError("not XML") from error
    if reader.root.rpartition("}")[2] != name:
        raise InvalidAnswerError(f"not a {name}")
    return PageHead(reader.facts, reader.prefixes, reader.contents)


class _Reader:
    """Takes the events of the parser; of an element with others in it, the text before them counts."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}
        self.prefixes: list[str] = []
        self.contents = 0
        self.root = ""
        self._path: list[str] = []
        self._text: list[str] = []
        self._takes = False

    def start(self, name: str, _: object) -> None:
        """An element begins."""
        self._note()
        self._path.append(name)
        self.root = self.root or name
        self._text, self._takes = [], True
        if len(self._path) == 2 and name.endswith("Contents"):
            self.contents += 1

    def take(self, text: str) -> None:
        """Text of an element, or between two."""
        if self._takes:
            self._text.append(text)

    def end(self, _: str) -> None:
        """An element ends."""
        self._note()
        self._path.pop()

    def _note(self) -> None:
        """Keep the text of the innermost element, which ends here or has another one in it."""
        if not self._takes:
            return
        self._takes = False
        space = self.root.rpartition("}")[0]
        names = [name.rpartition("}") for name in self._path]
        text = "".join(self._text)
        if len(names) == 2:
            self.facts[names[1][2]] = text
        elif [(name[0], name[2]) for name in names[1:]] == [(space, "CommonPrefixes"), (space, "Prefix")]:
            self.prefixes.append(text)
