"""Joins streams in key order, fed in batches, and verifies that they ascend. Pure.

``str`` order in Python is the order of code points, which is the order of UTF-8 bytes, which is the order
in which S3 lists keys (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from operator import attrgetter, ge

from aios3sync._typing import TYPE_CHECKING, Any, Protocol, TypeVar
from aios3sync.errors import OutOfOrderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ("BatchJoin", "Keyed", "ascending", "merge_join")


class Keyed(Protocol):
    """Anything with a key."""

    @property
    def key(self) -> str:
        """The key that the items are ordered by."""
        ...


K = TypeVar("K", bound=Keyed)
_key = attrgetter("key")
Row = tuple[Any, ...]
_LEAST_REACH = 16
_MOST_REACH = 1024


def ascending(name: str, items: Iterable[K]) -> Iterator[K]:
    """Yield the items; raise OutOfOrderError at the first whose key does not ascend."""
    previous: str | None = None
    for item in items:
        if previous is not None and item.key <= previous:
            raise OutOfOrderError(name, previous, item.key)
        previous = item.key
        yield item


class BatchJoin:
    """An outer join of named streams, fed batch by batch.

    The caller feeds or ends the stream that :meth:`needs_input` returns, and takes the rows that have become
    certain from :meth:`rows`. A row has one place for each stream, ``None`` where the stream lacks
    the key. Memory is the batches that were fed and not yet joined.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._batches: list[Sequence[Any]] = [() for _ in names]
        self._places = [0 for _ in names]
        self._keys: list[list[str]] = [[] for _ in names]
        self._last: list[str | None] = [None for _ in names]
        self._ended = [False for _ in names]
        self._reach, self._unlooked = _LEAST_REACH, 0

    def needs_input(self) -> int | None:
        """Return the first stream that must be fed or ended before another row is certain, else ``None``."""
        for index, ended in enumerate(self._ended):
            if not ended and self._places[index] >= len(self._batches[index]):
                return index
        return None

    @property
    def finished(self) -> bool:
        """Whether every stream has ended and every row was taken."""
        left = zip(self._places, self._batches, strict=True)
        return all(self._ended) and all(place >= len(batch) for place, batch in left)

    def feed(self, index: int, batch: Sequence[Keyed]) -> None:
        """Add the next batch of a stream that needs input; an empty batch changes nothing.

        Raises:
            OutOfOrderError: the stream does not ascend strictly.
            ValueError: the stream needed no input: its rows would be lost.
        """
        if self._places[index] < len(self._batches[index]):
            raise ValueError(f"{self._names[index]} was fed though it needs no input")
        if not batch:
            return
        keys = list(map(_key, batch))
        previous = self._last[index]
        if (previous is not None and keys[0] <= previous) or any(map(ge, keys, islice(keys, 1, None))):
            raise _disorder(self._names[index], previous, keys)
        self._last[index] = keys[-1]
        self._batches[index], self._keys[index] = batch, keys
        self._places[index] = 0

    def take_unmatched(self, index: int) -> Sequence[Any]:
        """Take the items of one stream that come before all that the other streams have.

        Nothing is taken while another stream needs input: its next items might come first.
        """
        batch, place = self._batches[index], self._places[index]
        end = len(batch)
        for other, items in enumerate(self._batches):
            if other == index:
                continue
            if self._places[other] < len(items):
                end = bisect_left(batch, items[self._places[other]].key, place, end, key=_key)
            elif not self._ended[other]:
                return ()
        self._places[index] = max(end, place)
        return batch[place:end]

    def end(self, index: int) -> None:
        """Note that a stream has no more items."""
        self._ended[index] = True

    def _matched(self) -> int:
        """Return how many of the next rows, of those looked at, have an item of every stream.

        Where hardly anything has changed, that is nearly all of them, and lists of keys compare fast. After
        a difference some rows are joined one by one, so that a look that is in vain costs little.
        """
        if self._unlooked:
            self._unlooked -= 1
            return 0
        ahead = [
            keys[place : place + self._reach] for keys, place in zip(self._keys, self._places, strict=True)
        ]
        count = min(map(len, ahead))
        if count >= _LEAST_REACH and all(keys[:count] == ahead[0][:count] for keys in ahead):
            self._reach = min(2 * self._reach, _MOST_REACH)
            return count
        self._reach = self._unlooked = _LEAST_REACH
        return 0

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are certain now, ascending; stops as soon as a live stream runs dry."""
        batches, places = self._batches, self._places
        indices = range(len(batches))
        single = 0  # rows of one stream alone, one after the other
        while True:
            if matched := self._matched():
                ahead = [batches[index][places[index] : places[index] + matched] for index in indices]
                for row in zip(*ahead, strict=True):
                    for index in indices:
                        places[index] += 1
                    yield row
            if (alone := self._next_row()) is None:
                return
            yield alone
            single = single + 1 if alone.count(None) == len(alone) - 1 else 0
            if single >= _LEAST_REACH:
                yield from self._rows_of_one()
                single = 0

    def _rows_of_one(self) -> Iterator[Row]:
        """Yield the rows that come before the next key of all streams but one; none where one runs dry."""
        heads = []
        for index, (keys, place) in enumerate(zip(self._keys, self._places, strict=True)):
            if place < len(self._batches[index]):
                heads.append((keys[place], index))
            elif not self._ended[index]:
                return
        if not heads:
            return
        (_, index), *others = sorted(heads)
        place = self._places[index]
        end = bisect_left(self._keys[index], others[0][0], place) if others else len(self._batches[index])
        before, after = (None,) * index, (None,) * (len(self._batches) - index - 1)
        for item in self._batches[index][place:end]:
            self._places[index] += 1
            yield (*before, item, *after)

    def _next_row(self) -> Row | None:
        """Take one row, ``None`` where none is certain."""
        batches, places, ended = self._batches, self._places, self._ended
        count = len(batches)
        heads: list[Any] = [None] * count
        least: str | None = None
        for index in range(count):
            batch, place = batches[index], places[index]
            if place < len(batch):
                head = heads[index] = batch[place]
                if least is None or head.key < least:
                    least = head.key
            elif not ended[index]:
                return None
        if least is None:
            return None
        for index in range(count):
            if heads[index] is not None:
                if heads[index].key == least:
                    places[index] += 1
                else:
                    heads[index] = None
        return tuple(heads)


def _disorder(name: str, previous: str | None, keys: Sequence[str]) -> OutOfOrderError:
    """Return the error for the first key that does not ascend."""
    for key in keys:
        if previous is not None and key <= previous:
            return OutOfOrderError(name, previous, key)
        previous = key
    raise AssertionError("the keys ascend")


def merge_join(*streams: Iterable[Keyed], names: Sequence[str] = (), batch_size: int = 256) -> Iterator[Row]:
    """Join whole iterables: the rows of :class:`BatchJoin` without the feeding.

    Raises:
        OutOfOrderError: one of the streams does not ascend strictly; without ``names`` it is named by its
            number.
    """
    join = BatchJoin(*(names or (f"stream {number}" for number in range(len(streams)))))
    iterators = [iter(stream) for stream in streams]
    while not join.finished:
        while (index := join.needs_input()) is not None:
            batch = list(islice(iterators[index], batch_size))
            if batch:
                join.feed(index, batch)
            else:
                join.end(index)
        yield from join.rows()
