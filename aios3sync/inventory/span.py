"""KeySpan: the wanted keys of an inventory. Pure."""

from __future__ import annotations

from typing import Final

from aios3sync._namedtuple import NamedTuple

__all__ = ("ALL_KEYS", "KeySpan")


class KeySpan(NamedTuple):
    """The full keys that begin with ``prefix``, are not less than ``first``, and are less than ``end``.

    An empty ``end`` is no bound. Keys compare by their UTF-8 bytes, as ``str`` does.
    """

    prefix: str = ""
    first: str = ""
    end: str = ""

    def holds(self, key: str) -> bool:
        """Whether a key is wanted."""
        return key.startswith(self.prefix) and key >= self.first and not (self.end and key >= self.end)

    def may_meet(self, least: str, greatest: str) -> bool:
        """Whether a wanted key may lie between two keys, both included."""
        if greatest < self.first or (self.end and least >= self.end):
            return False
        # Between them lies a key with the prefix, or the prefix is cut by one of them.
        return greatest >= self.prefix and (least <= self.prefix or least.startswith(self.prefix))


ALL_KEYS: Final = KeySpan()
