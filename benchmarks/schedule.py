"""The order of the runs of one case, and how many fit into a time budget; its clock is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ("Budget", "Entrant", "Schedule", "rounds")

_LAGGARD = 1.5
_PATIENCE = 4.0
_LEAST_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contender as the schedule sees it.

    Attributes:
        is_peer: as of the contender.
        kept: a peer that some row of ours is held against, however slow it is.
        once: it runs in the first round alone.
    """

    name: str
    is_peer: bool
    kept: bool = False
    once: bool = False


@dataclass(slots=True)
class Budget:
    """Time for all cases together: each gets an equal part of what the cases before it have left.

    Attributes:
        seconds: the budget; infinity for none.
        cases: how many cases there are.
        clock: seconds that only grow.
    """

    seconds: float
    cases: int
    clock: Callable[[], float]
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        """The time of the budget begins."""
        self._end = self.clock() + self.seconds

    def share(self) -> float:
        """Return the seconds of the next case, which is at least 0."""
        left = max(0.0, self._end - self.clock())
        part = left / max(1, self.cases)
        self.cases -= 1
        return part


@dataclass(slots=True)
class Schedule:
    """The runs of one case: interleaved rounds, the first one in any case.

    With a budget, another round begins only if it is likely to end within the share of the case, and a peer
    that cannot be the fastest makes room for those that can. The report has
    the number of runs of each.

    Attributes:
        runs: how many rounds there are at most.
        share_s: the share of the case; infinity if there is no budget.
        limit_s: how long one run may take.
    """

    entrants: Sequence[Entrant]
    runs: int
    share_s: float
    limit_s: float
    clock: Callable[[], float]
    _walls: dict[str, float] = field(init=False, default_factory=dict)
    _costs: dict[str, float] = field(init=False, default_factory=dict)

    def turns(self) -> Iterator[tuple[int, str]]:
        """Yield round and name; each round begins with another contender."""
        began = self.clock()
        able = list(self.entrants)
        for number in range(self.runs):
            for name in _rotated([each.name for each in able], number):
                at = self.clock()
                yield number, name
                self._costs[name] = self.clock() - at
            able = [each for each in able if not each.once]
            spent = self.clock() - began
            if number == 0 and self._cost(able) * (self.runs - 1) > self.share_s - spent:
                able = self._without_laggards(able)
            if not able or spent + self._cost(able) > self.share_s:
                return

    def took(self, name: str, wall_s: float) -> None:
        """Record the wall time of a good run."""
        self._walls[name] = min(wall_s, self._walls.get(name, math.inf))

    @property
    def limit(self) -> float:
        """Seconds that the next run may take: with a budget, a multiple of the fastest run so far."""
        if math.isinf(self.share_s):
            return self.limit_s
        fastest = min(self._walls.values(), default=math.inf)
        return min(self.limit_s, max(_LEAST_LIMIT_S, _PATIENCE * fastest))

    def _cost(self, able: Sequence[Entrant]) -> float:
        return sum(self._costs.get(each.name, 0.0) for each in able)

    def _without_laggards(self, able: Sequence[Entrant]) -> list[Entrant]:
        peers = [each for each in able if each.is_peer and each.name in self._walls]
        walls = self._walls
        best = min((walls[each.name] for each in peers), default=math.inf)
        return [
            each
            for each in able
            if not each.is_peer or each.kept or walls.get(each.name, math.inf) <= _LAGGARD * best
        ]


def rounds(names: Sequence[str], count: int) -> Iterator[tuple[int, list[str]]]:
    """Yield interleaved rounds: each contender once a round, each round beginning with another one.

    Other load of the machine then affects all alike, and no contender always follows the same one.
    """
    for number in range(count):
        yield number, _rotated(names, number)


def _rotated(names: Sequence[str], number: int) -> list[str]:
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]
