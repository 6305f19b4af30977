"""Plan: the actions of a dry run in order, with the facts they depend on; saved and read as JSON lines.

The first line describes the sync, the last one has the number of actions, so that a truncated plan is
detected; each line between is one action. A plan is not executed blindly: to apply it, both sides are
compared again, and only actions that are decided exactly as planned are carried out.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import IO, Any, Final, Self

import orjson

from aios3sync._dataclass import defaults_of
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import UsageError
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.sync.plans.planned import ACTIONS, PlannedAction

__all__ = ("Plan",)

_FORMAT: Final = "aios3sync plan"
_VERSION: Final = 1
_AT_ONCE: Final = 64 * 1024
"""Bytes of lines that are read at once."""
_IN_MEMORY: Final = 4 * 1024 * 1024
"""Bytes of a plan that are kept in memory; a longer one is in a temporary file."""
_SECRETS: Final = ("sse_customer_key", "source_sse_customer_key")
_NOT_KEPT: Final = frozenset({"dry_run", *_SECRETS})


class Plan:
    """What a sync would do, see :meth:`aios3sync.Session.plan`.

    Iterating yields each :class:`~aios3sync.sync.plans.planned.PlannedAction` in the order of the decisions.
    If it is large its lines are in a temporary file, which is deleted with the object. The methods block.

    Attributes:
        source, target: the sides, as :meth:`aios3sync.Session.sync` accepts them; a directory is absolute.
        direction: ``up``, ``down`` or ``copy``.
        endpoint: the endpoint of the bucket, or ``aws``.
        made_at: seconds since the epoch.
        options: of the sync; keys of SSE-C are not kept.
        secrets: the options that are needed to apply it but are not kept.
        checked, knowledge_age_s, refused: as in the report of the dry run.
        report: of the dry run; only where the plan was made, not where it was read from a file.
        due: the part that would be carried out now; known after it was applied with ``dry_run``.
        counts: how many actions of each kind.
        sizes: their bytes.
    """

    def __init__(self, header: Mapping[str, Any]) -> None:
        self.source: str = header["source"]
        self.target: str = header["target"]
        self.direction: str = header["direction"]
        self.endpoint: str = header["endpoint"]
        self.made_at: float = header["made_at"]
        self.options = SyncOptions.of(None, header["options"])
        self.secrets: tuple[str, ...] = tuple(header["secrets"])
        self.checked: str = header["checked"]
        self.knowledge_age_s: float | None = header["knowledge_age_s"]
        self.refused: Mapping[str, Any] | None = header["refused"]
        self.counts: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()
        self.report: SyncReport | None = None
        self.due: Plan | None = None
        self._lines = _spooled()
        weakref.finalize(self, self._lines.close)

    @classmethod
    def begin(cls, source: str, target: str, direction: str, endpoint: str, options: SyncOptions) -> Self:
        """Return a plan without actions."""
        return cls(
            {
                "source": source,
                "target": target,
                "direction": direction,
                "endpoint": endpoint,
                "made_at": time.time(),
                "options": _kept(options),
                "secrets": [name for name in _SECRETS if getattr(options, name)],
                "checked": "",
                "knowledge_age_s": None,
                "refused": None,
            }
        )

    def without_actions(self) -> Plan:
        """Return a plan of the same sides with the same options, without actions."""
        return Plan.begin(self.source, self.target, self.direction, self.endpoint, self.options)

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[PlannedAction]:
        place = 0  # of this iterator: others may read, and add, in between
        while lines := self._lines_at(place):
            for line in lines:
                place += len(line)
                yield _action(json.loads(line))

    def _lines_at(self, place: int) -> list[bytes]:
        self._lines.seek(place)
        return self._lines.readlines(_AT_ONCE)

    def of(self, action: str) -> Iterator[PlannedAction]:
        """Yield the actions of one kind."""
        return (planned for planned in self if planned.action == action)

    def add(self, actions: Iterable[PlannedAction]) -> None:
        """Append actions."""
        lines = []
        for planned in actions:
            self.counts[planned.action] += 1
            self.sizes[planned.action] += planned.size
            lines.append(_line(planned))
        self._lines.seek(0, os.SEEK_END)
        self._lines.writelines(lines)

    def clear(self) -> None:
        """Drop all actions: the comparison begins again."""
        self._lines.seek(0)
        self._lines.truncate()
        self.counts.clear()
        self.sizes.clear()

    def conclude(self, report: SyncReport) -> None:
        """Store the results of the dry run other than its actions."""
        self.report = report
        self.checked, self.knowledge_age_s = report.checked, report.knowledge_age_s
        self.refused = report.refused

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a file atomically.

        Raises:
            UsageError: the file cannot be written.
        """
        target = os.path.abspath(os.fspath(path))
        temporary = f"{target}.{secrets.token_hex(4)}.tmp"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    self._write(file)
                os.replace(temporary, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            shown = escape_undecodable(os.fspath(path))
            raise UsageError(f"the plan {shown!r} cannot be written: {error.strerror or error}") from None

    def _write(self, file: IO[bytes]) -> None:
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.made_at)),
            "source": self.source,
            "target": self.target,
            "direction": self.direction,
            "endpoint": self.endpoint,
            "options": _kept(self.options),
            "secrets": self.secrets,
            "checked": self.checked,
            "knowledge_age_s": self.knowledge_age_s,
            "refused": self.refused,
        }
        file.write(json.dumps(header).encode() + b"\n")
        self._lines.seek(0)
        for line in self._lines:
            file.write(line)
        file.write(json.dumps({"end": dict(self.counts)}).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a plan from a file.

        Raises:
            UsageError: there is none, or it is of another version, damaged or truncated.
        """
        shown = escape_undecodable(os.fspath(path))
        try:
            with open(path, "rb") as file:
                return cls._read(file)
        except OSError as error:
            raise UsageError(f"the plan {shown!r} cannot be read: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error) if type(error) in (ValueError, UsageError) else "it is damaged"
            raise UsageError(f"{shown!r} is no plan that can be applied: {reason}; make it again") from None

    @classmethod
    def _read(cls, file: IO[bytes]) -> Self:
        header = _document(file.readline())
        if header.get("format") != _FORMAT:
            raise ValueError("it does not begin like one")
        if header["version"] != _VERSION:
            raise ValueError(f"it has version {header['version']!r}, and this program reads {_VERSION}")
        made = time.strptime(header["made_at"], "%Y-%m-%dT%H:%M:%SZ")
        plan = cls({**header, "made_at": float(_seconds(made))})
        end: Any = None
        for line in file:
            if end is not None:
                raise ValueError("something follows its end")
            document = _document(line)
            if "end" in document:
                end = document["end"]
            else:
                plan.add([_action(document)])
        if end is None or Counter(end) != plan.counts:
            raise ValueError("it was cut off")
        return plan


def _spooled() -> IO[bytes]:
    from tempfile import SpooledTemporaryFile

    return SpooledTemporaryFile(max_size=_IN_MEMORY, prefix="aios3sync-plan-")


def _seconds(when: time.struct_time) -> int:
    import calendar

    return calendar.timegm(when)


def _kept(options: SyncOptions) -> dict[str, Any]:
    """Return the options that are not their defaults, except secrets, as values for JSON."""
    usual = SyncOptions()
    kept: dict[str, Any] = {}
    for name in defaults_of(SyncOptions):
        value = getattr(options, name)
        if name not in _NOT_KEPT and value != getattr(usual, name):
            kept[name] = dict(value) if isinstance(value, Mapping) else value
    return kept


def _document(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError:
        raise ValueError("a line of it is no JSON") from None
    if not isinstance(document, dict):
        raise ValueError("a line of it is no object")  # noqa: TRY004 - of a file, not of a caller
    return document


def _line(planned: PlannedAction) -> bytes:
    """Return the line of an action, in ASCII, as for some readers other characters may end a line.

    orjson takes a tenth of the time of json, which escapes them and supports any number.
    """
    document = dict(zip(planned._fields, planned, strict=True))
    try:
        line = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        line = b""
    return line if line and line.isascii() else json.dumps(document).encode() + b"\n"


def _action(document: Mapping[str, Any]) -> PlannedAction:
    planned = PlannedAction(**document)
    if planned.action not in ACTIONS or type(planned.key) is not str or type(planned.size) is not int:
        raise ValueError(f"{planned.action!r} is no action")
    return planned
