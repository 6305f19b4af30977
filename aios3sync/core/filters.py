"""Decides which keys a sync sees, and which directories it need not enter. Pure.

The rules are those of ``aws s3 sync``: ordered, every rule is tried, the last one that matches wins, and a
key that no rule matches is visible. ``*`` matches any text, ``/`` included, ``?`` one character, ``[abc]``
and ``[!abc]`` one of (or none of) the characters.
(https://docs.aws.amazon.com/cli/latest/reference/s3/#use-of-exclude-and-include-filters)

Patterns that aws accepts and that match nothing there have the meaning that their authors intended, see
:func:`meanings`. Matching takes time in proportion to key and pattern: ``fnmatch`` translates each ``*`` so
that it never takes back what it matched.
"""

from __future__ import annotations

from itertools import takewhile

from aios3sync._dataclass import dataclass, field
from aios3sync._lazy import lazy_pattern
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Sequence

    from aios3sync.core.gitignore import IgnoreTree

__all__ = ("Filters", "OwnFiles", "Rule", "make_rules", "meanings", "read_rules")

_WILDCARDS: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Rule:
    """One include or exclude rule.

    Attributes:
        include: whether it shows or hides what it matches.
        pattern: as it was written.
        origin: where it came from, for messages.
        further: rules with its further meanings.
    """

    include: bool
    pattern: str
    origin: str = ""
    further: tuple[Rule, ...] = field(default=(), repr=False)
    _match: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _covers: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _literal: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_match", lazy_pattern(_translated(self.pattern)))
        open_end = self.pattern.endswith("*") and not self.pattern.endswith("[*")
        covers = lazy_pattern(_unanchored(self.pattern[:-1])) if open_end else None
        object.__setattr__(self, "_covers", covers)
        literal = "".join(takewhile(lambda c: c not in _WILDCARDS, self.pattern))
        object.__setattr__(self, "_literal", literal)

    def matches(self, key: str) -> bool:
        """Return whether the rule applies to this key."""
        if self._match.match(key) is not None:
            return True
        return bool(self.further) and any(rule.matches(key) for rule in self.further)

    def covers(self, directory: str) -> bool:
        """Return whether the rule surely matches every key below ``directory`` (which ends in ``/``)."""
        if self._covers is not None and self._covers.match(directory) is not None:
            return True
        return any(rule.covers(directory) for rule in self.further)

    def may_match_below(self, directory: str) -> bool:
        """Return whether the rule can match any key below ``directory`` (which ends in ``/``)."""
        literal = self._literal
        if literal.startswith(directory) or (literal != self.pattern and directory.startswith(literal)):
            return True
        return any(rule.may_match_below(directory) for rule in self.further)

    def __str__(self) -> str:
        words = f"{'include' if self.include else 'exclude'} {self.pattern!r}"
        return f"{words} ({self.origin})" if self.origin else words


def _translated(pattern: str) -> str:
    from fnmatch import translate  # loads re, and few runs have a rule

    return translate(pattern)


def _unanchored(pattern: str) -> str:
    """``fnmatch.translate`` without the end anchor, so that ``match`` finds a matching beginning."""
    translated = _translated(pattern)
    end = translated.rfind(")")
    return translated[: end + 1]


def meanings(pattern: str, roots: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what a pattern means in addition to what it matches as it is written.

    * ``./cache/*`` and ``/cache/*`` begin at the source, as does an absolute path inside of it;
    * ``cache/`` is all that is in that directory;
    * ``cache``, without any wildcard, is that file, or all that is in the directory of that name.

    What the pattern matches as it is written it goes on matching: an object may have such a key.

    Args:
        pattern: as it was written.
        roots: absolute paths of the source.
    """
    root = next((root for root in roots if pattern.startswith(f"{root.rstrip('/')}/")), "")
    short = pattern[len(root.rstrip("/")) :].lstrip("/") if root else pattern.lstrip("/")
    while short.startswith("./"):
        short = short[2:].lstrip("/")
    found = [short]
    if short.endswith("/"):
        found.append(f"{short}*")
    elif short and _WILDCARDS.isdisjoint(short):
        found.append(f"{short}/*")
    return tuple(meaning for meaning in found if meaning not in ("", pattern))


def read_rules(lines: Iterable[str], origin: str) -> list[Rule]:
    """Read the rules of an exclude file: one pattern a line, ``#`` comments, ``!`` or ``+ `` includes.

    ``- `` may come before a pattern that excludes, as every line without a mark does.
    """
    rules = []
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if not text.strip() or text.startswith("#"):
            continue
        mark = next((mark for mark in ("!", "+ ", "- ") if text.startswith(mark)), "")
        rules.append(Rule(mark in ("!", "+ "), text.removeprefix(mark), f"{origin}:{number}"))
    return rules


class OwnFiles(NamedTuple):
    """The files of a run itself: manifest, lock, journals, set-aside files, errors.

    They are known by the directory that they are in, whatever path leads there, and by their names.

    Attributes:
        name: matches their names and no others.
        keys: matches the keys that they would have; ``None`` where they are not below the source.
        directory: device and inode of their directory, ``None`` where there is none yet.
    """

    name: re.Pattern[str]
    keys: re.Pattern[str] | None = None
    directory: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """Everything that hides keys from a sync, on both sides alike (P6).

    Attributes:
        rules: ordered include and exclude rules.
        files: only these keys exist, or ``None``.
        ignored: the ``.gitignore`` files met so far, or ``None``.
        own: this run's own local files, in each of their directories; never synced.
    """

    rules: tuple[Rule, ...] = ()
    files: frozenset[str] | None = None
    ignored: IgnoreTree | None = None
    own: tuple[OwnFiles, ...] = ()
    _unmatched: set[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_unmatched", set(range(len(self.rules))))

    @property
    def trivial(self) -> bool:
        """Whether every key is visible."""
        return self.static_is_trivial and self.ignored is None

    @property
    def static_is_trivial(self) -> bool:
        """Whether :meth:`visible_by_rules` is true of every key."""
        own = any(files.keys is not None for files in self.own)
        return not (self.rules or own) and self.files is None

    def _is_own(self, key: str) -> bool:
        return any(files.keys is not None and files.keys.fullmatch(key) for files in self.own)

    def visible(self, key: str) -> bool:
        """Return whether the sync sees the key."""
        return self.visible_by_rules(key) and (self.ignored is None or not self.ignored.hides(key))

    def visible_by_rules(self, key: str) -> bool:
        """Return the same without the ``.gitignore`` files, which are all known only after the walk."""
        if self._is_own(key) or (self.files is not None and key not in self.files):
            return False
        deciding = self.deciding_rule(key)
        return deciding is None or deciding.include

    def deciding_rule(self, key: str) -> Rule | None:
        """Return the last include or exclude rule that matches, or ``None``."""
        for place in range(len(self.rules) - 1, -1, -1):
            if self.rules[place].matches(key):
                if self._unmatched:
                    self._note(key, place)
                return self.rules[place]
        return None

    def _note(self, key: str, decided: int) -> None:
        """Remember which rules match a key; those after the one that decided are known not to match."""
        # A copy: the walk calls this in another thread than the listing.
        for place in tuple(self._unmatched):
            if place == decided or (place < decided and self.rules[place].matches(key)):
                self._unmatched.discard(place)

    @property
    def unmatched(self) -> list[Rule]:
        """The rules that have matched nothing, though every directory was entered where they could match."""
        return [self.rules[place] for place in sorted(self._unmatched)]

    def may_contain(self, directory: str) -> bool:
        """Return whether any visible key can be below ``directory`` (ending in ``/``); False prunes the walk.

        The walk calls it from the top down, after the directories above were entered.
        """
        if self.ignored is not None and self.ignored.ignores(directory):
            return False
        for rule in reversed(self.rules):
            if rule.include and rule.may_match_below(directory):
                return True
            if not rule.include and rule.covers(directory):
                self._note_unseen(directory)
                return False
        return True

    def _note_unseen(self, directory: str) -> None:
        """Do not report rules as unmatched that may match below a directory that is not entered."""
        for place in tuple(self._unmatched):
            if self.rules[place].may_match_below(directory):
                self._unmatched.discard(place)

    def explain(self, key: str) -> str:
        """Return why the key is visible or hidden, in words."""
        if self._is_own(key):
            return "hidden: a file of this run itself"
        if self.files is not None and key not in self.files:
            return "hidden: not named by --files-from"
        deciding = self.deciding_rule(key)
        if deciding is not None and not deciding.include:
            return f"hidden by {deciding}"
        if self.ignored is not None and self.ignored.hides(key):
            return "hidden by .gitignore"
        return f"visible by {deciding}" if deciding is not None else "visible: no rule matches"


def make_rules(rules: Iterable[tuple[str, ...]], roots: Sequence[str] = ()) -> tuple[Rule, ...]:
    """Make rules from ``("include" | "exclude", pattern)``; a third text is the origin of a rule.

    Args:
        rules: in the order in which they are tried.
        roots: absolute paths of the source, see :func:`meanings`.
    """
    made = []
    for kind, pattern, *origin in rules:
        include = kind == "include"
        further = tuple(Rule(include, meaning) for meaning in meanings(pattern, roots))
        made.append(Rule(include, pattern, origin[0] if origin else f"--{kind}", further))
    return tuple(made)
