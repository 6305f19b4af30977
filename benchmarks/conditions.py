"""The conditions of a run between a contender and its endpoint: latency, and TLS or not; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ("ALL", "PLAIN", "Condition", "Scope", "applicable", "parse")

Scope = Literal["all", "http", "plain"]
"""The conditions that a case is measured in: all, those without TLS, or HTTP without latency alone."""


class Condition(NamedTuple):
    """One condition.

    Attributes:
        tls: requests go over TLS; contenders check the certificate, as they do by default.
        latency_ms: how long each response waits.
    """

    tls: bool = False
    latency_ms: int = 0

    @property
    def name(self) -> str:
        """The name for ``--conditions``: ``http``, ``tls-30ms``."""
        return ("tls" if self.tls else "http") + (f"-{self.latency_ms}ms" if self.latency_ms else "")

    @property
    def label(self) -> str:
        """The name for people: ``HTTP``, ``TLS, 30 ms``."""
        return ("TLS" if self.tls else "HTTP") + (f", {self.latency_ms} ms" if self.latency_ms else "")


PLAIN = Condition()
ALL = (PLAIN, Condition(latency_ms=30), Condition(tls=True), Condition(tls=True, latency_ms=30))


def parse(name: str) -> Condition:
    """Return the condition of a name.

    Raises:
        ValueError: it is not ``http`` or ``tls``, with a latency such as ``-30ms`` or without.
    """
    found = re.fullmatch(r"(http|tls)(?:-(\d+)ms)?", name)
    if found is None:
        raise ValueError(f"no such condition: {name}; write http, tls, http-30ms or tls-30ms")
    return Condition(found[1] == "tls", int(found[2] or 0))


def applicable(scope: Scope, conditions: Sequence[Condition]) -> list[Condition]:
    """Return the conditions that a case of this scope is measured in."""
    if scope == "all":
        return list(conditions)
    return [each for each in conditions if not each.tls and (scope == "http" or not each.latency_ms)]
