"""The options of following a queue, and its report; no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypedDict

from aios3sync._dataclass import asdict, dataclass, field, replace
from aios3sync.errors import UsageError
from aios3sync.field_types import Seconds, conform

__all__ = ("FollowKeywords", "FollowOptions", "FollowReport")


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOptions:
    """The options of following a queue.

    Attributes:
        receivers: requests that wait for messages at once.
        wait: seconds that each request waits at most, up to 20; a longer wait costs fewer requests.
        drain: end when the queue is empty, instead of waiting for messages.
        drop_poison: delete messages that are no notifications.
        remember_removals: seconds after which the tombstone of a removed key is deleted; no older event may
            arrive after that. A queue keeps messages for 14 days at most.
    """

    receivers: int = 4
    wait: Seconds = 20.0
    drain: bool = False
    drop_poison: bool = False
    remember_removals: Seconds = 15 * 86400.0

    @classmethod
    def of(cls, options: FollowOptions | None, changes: Mapping[str, Any]) -> FollowOptions:
        """Return the options with ``changes`` applied.

        Raises:
            UsageError: a name is unknown, or a value is invalid.
        """
        known = [item.name for item in fields(cls)]
        for name in changes:
            if name not in known:
                raise UsageError(f"{name!r} is not an option of following; known are: {', '.join(known)}")
        return replace(options or cls(), **changes)

    def __post_init__(self) -> None:
        conform(self)
        if not 1 <= self.receivers <= 64:
            raise UsageError(f"receivers: {self.receivers} is not between 1 and 64")
        if not 0 <= self.wait <= 20:
            raise UsageError(f"wait: {self.wait} is not between 0 and 20 seconds")
        if self.remember_removals < 3600:
            raise UsageError(f"remember_removals: {self.remember_removals} is less than an hour")


class FollowKeywords(TypedDict, total=False):
    """The keyword arguments of ``follow()``: the fields of :class:`FollowOptions`."""

    receivers: int
    wait: float | str
    drain: bool
    drop_poison: bool
    remember_removals: float | str


@dataclass(slots=True)
class FollowReport:
    """The counts of following a queue so far.

    Attributes:
        messages: received, duplicates and poison included.
        upserted, removed: rows.
        ignored: events that came too late, or changed nothing.
        other: events that do not change an object, by their kind.
        poison: messages that are no notifications; each counts once.
        looked: HEAD requests for objects that an event did not describe.
        unresolved: events whose HEAD request was denied, or whose bucket is missing; ``reconcile`` repairs
            the rows.
        redelivered: messages that could not be deleted and will be delivered again.
        retries: requests for messages that failed and were repeated.
    """

    messages: int = 0
    upserted: int = 0
    removed: int = 0
    ignored: int = 0
    other: Counter[str] = field(default_factory=Counter)
    poison: int = 0
    looked: int = 0
    unresolved: int = 0
    redelivered: int = 0
    retries: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as a JSON object."""
        return {**asdict(self), "other": dict(self.other)}

    @property
    def exit_code(self) -> int:
        """The exit code of the command line: 3 where messages or events could not be used, else 0."""
        return 3 if self.poison or self.unresolved else 0
