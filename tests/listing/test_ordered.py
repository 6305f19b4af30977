"""A parallel listing always comes to its end: the producer that the reader waits for is never bounded."""

from __future__ import annotations

import asyncio
import random
import selectors
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.listing.ordered import OrderedProducer, PageWindow, deliver
from aios3sync.listing.parallel import ListPlan, list_in_parallel
from aios3sync.store.protocol import ListPage, StoreCapabilities

T = TypeVar("T")
ORDERS: dict[str, Callable[[str], Any]] = {
    "bytes": lambda key: key.encode(),
    "SeaweedFS": lambda key: key.split("/"),
    "none": lambda key: key[::-1],
}


class StalledError(AssertionError):
    """Every task waits and no request is under way: nothing will ever happen again."""


class Server:
    """A server without a clock: answers one request when all tasks wait, in an order that the seed decides.

    Attributes:
        requests: how many were answered.
        rounds: how often all tasks waited; with ``at_once`` all requests are answered then, so that these are
            the times that an answer takes.
    """

    bucket = "bucket"
    capabilities = StoreCapabilities(sorted_listing=True)

    def __init__(
        self,
        keys: Iterable[str],
        size: int = 1000,
        order: str = "bytes",
        seed: int = 0,
        *,
        at_once: bool = False,
    ) -> None:
        self.requests = self.rounds = 0
        self._order = ORDERS[order]
        self._keys = sorted(keys, key=self._order)
        self._ascending = self._keys == sorted(self._keys)
        self._size = size
        self._choice = random.Random(seed)  # noqa: S311 - an order that can be had again
        self._at_once = at_once
        self._turns: list[asyncio.Future[None]] = []
        self._lists: dict[tuple[str, str], tuple[list[str], list[Any]]] = {}

    async def turn(self) -> None:
        """Wait until all tasks wait and this request is chosen."""
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        await turn

    def idle(self) -> None:
        """Answer one of the requests that wait."""
        if not self._turns:
            raise StalledError(f"all tasks wait after {self.requests} requests")
        self.rounds += 1
        self._choice.shuffle(self._turns)
        for turn in self._turns[:] if self._at_once else self._turns[-1:]:
            turn.set_result(None)
            self._turns.remove(turn)

    async def list_page(
        self, prefix: str, *, token: str | None = None, start_after: str = "", delimiter: str = "", **_: Any
    ) -> ListPage:
        await self.turn()
        self.requests += 1
        names, places = self._shown(prefix, delimiter)
        begin = int(token) if token else bisect_right(places, self._order(start_after)) if start_after else 0
        page = names[begin : begin + self._size]
        end = begin + len(page)
        groups = [name for name in page if delimiter and delimiter in name[len(prefix) :]]
        rolled_up = set(groups)
        entries = [TargetEntry(name, 1, "") for name in page if name not in rolled_up]
        return ListPage(entries, groups, str(end) if end < len(names) else None)

    def _shown(self, prefix: str, delimiter: str) -> tuple[list[str], list[Any]]:
        if (prefix, delimiter) not in self._lists:
            keys = self._below(prefix)
            if delimiter:
                cut = len(prefix)
                keys = list(dict.fromkeys(k[: k.find("/", cut) + 1] if "/" in k[cut:] else k for k in keys))
            self._lists[prefix, delimiter] = keys, [self._order(key) for key in keys]
        return self._lists[prefix, delimiter]

    def _below(self, prefix: str) -> list[str]:
        if self._ascending:
            return self._keys[
                bisect_left(self._keys, prefix) : bisect_left(self._keys, prefix + "\U0010ffff")
            ]
        return [key for key in self._keys if key.startswith(prefix)]


class IdleSelector(selectors.DefaultSelector):
    """Calls ``idle`` when a loop would sleep for ever: no task is ready, and none waits for a time."""

    def __init__(self, idle: Callable[[], None]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            self._idle()
            return []
        return super().select(timeout)


def run(server: Server, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run on a loop whose idle moments belong to the server."""

    def loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(IdleSelector(server.idle))

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main())


def listed(server: Server, *, slow: bool = False, **plan: Any) -> list[str]:
    """Return the keys of a parallel listing, as the reader gets them; StalledError if it stops too early.

    With ``slow`` the reader waits for its turn before it takes a page, as a request does for its answer.
    """

    async def main() -> list[str]:
        keys: list[str] = []
        send, receive = anyio.create_memory_object_stream[list[TargetEntry]](0)

        async def produce() -> None:
            async with send:
                await list_in_parallel(server, "", send, ListPlan(**plan))  # type: ignore[arg-type]

        with raise_first_error():
            async with anyio.create_task_group() as tasks, receive:
                tasks.start_soon(produce)
                async for page in receive:
                    keys += [entry.key for entry in page]
                    if slow:
                        await server.turn()
        return keys

    return run(server, main)


def rows(keys: list[str]) -> Callable[[str, int], Coroutine[Any, Any, str | None]]:
    """A manifest that holds all keys."""

    async def key_after(after: str, count: int) -> str | None:
        place = bisect_right(keys, after) + count - 1
        return keys[place] if place < len(keys) else None

    return key_after


def files_between_directories() -> list[str]:
    """600 directories of 100 objects with 600 files among them, and 100 directories of 10 after that."""
    return [
        *(f"p/a/{n:05}/{name:03}" for n in range(600) for name in range(100)),
        *(f"p/a/{n:05}.json" for n in range(600)),
        *(f"p/b{n:05}/{name}" for n in range(100) for name in range(10)),
    ]


def a_wide_directory_before_flat_ones() -> list[str]:
    """One directory of 1,500 files and 1,500 sub-directories, and 100 directories of 1,500 files."""
    return [
        *(f"a/{n:04}" for n in range(1500)),
        *(f"a/{n:04}/{name}" for n in range(1500) for name in range(5)),
        *(f"d{n:03}/{name:04}" for n in range(100) for name in range(1500)),
    ]


SHAPES = [files_between_directories, a_wide_directory_before_flat_ones]


@pytest.mark.parametrize("tree", SHAPES)
@pytest.mark.parametrize("workers", [2, 8, 32])
@pytest.mark.parametrize("known", ["", "byte order", "rows"])
def test_a_wide_level_before_many_ranges_is_listed_to_its_end(
    tree: Callable[[], list[str]], workers: int, known: str
) -> None:
    keys = sorted(tree())
    plan: dict[str, Any] = {"byte_order": bool(known), "key_after": rows(keys) if known == "rows" else None}
    assert listed(Server(keys), workers=workers, ordered=True, **plan) == keys


@pytest.mark.parametrize("tree", SHAPES)
def test_ranges_far_ahead_leave_pages_for_the_nearer_ones_to_be_listed_in_parallel(
    tree: Callable[[], list[str]],
) -> None:
    """One request after the other would take as many rounds as the wide level has ranges: over a hundred."""
    keys = sorted(tree())
    server = Server(keys, at_once=True)
    assert listed(server, workers=32, ordered=True) == keys
    assert server.rounds <= 25


def random_tree(seed: int, size: int, most: int) -> list[str]:
    """Keys of files and directories in between, at most so many, often a little more than a page of them."""
    choice = random.Random(seed)  # noqa: S311 - a tree that can be made again
    keys: set[str] = set()

    def grow(prefix: str, depth: int) -> None:
        endings = choice.choice([[""], [".x"], ["", ".x", "!"]])
        for n in range(int(choice.choice([0, 0.5, 1, 1.5, 3]) * size) + choice.randrange(3)):
            keys.add(f"{prefix}{n:04}{choice.choice(endings)}")
        names = choice.choice([0, 1, 3, size, 3 * size]) if 0 < depth < 4 else 4 + choice.randrange(9)
        for n in range(names if depth < 4 else 0):
            if len(keys) < most:
                grow(f"{prefix}{choice.choice(['', '', 'a'])}{n:04}/", depth + 1)

    grow("", 0)
    return sorted(keys)


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.one_of(st.integers(1, 12), st.integers(1, 1000)),
    workers=st.integers(1, 64),
    order=st.sampled_from(list(ORDERS)),
    known=st.sampled_from(["", "byte order", "rows"]),
    ordered=st.booleans(),
    slow=st.booleans(),
    plain_pages=st.sampled_from([1, 1, 3]),
)
def test_any_tree_on_any_server_with_any_workers_is_listed_to_its_end(
    seed: int, size: int, workers: int, order: str, known: str, *, ordered: bool, slow: bool, plain_pages: int
) -> None:
    keys = random_tree(seed, size, min(200 * size, 8000))
    known = known if order == "bytes" and workers > 1 else ""
    plan: dict[str, Any] = {"byte_order": bool(known), "key_after": rows(keys) if known == "rows" else None}
    plan |= {"workers": workers, "ordered": ordered, "plain_pages": plain_pages}
    found = listed(Server(keys, size, order, seed), slow=slow, **plan)
    if ordered and order != "bytes":
        assert sorted(set(found)) == keys  # a key that comes twice is out of order, which its reader sees
    else:
        assert (found if ordered else sorted(found)) == keys


@pytest.mark.parametrize("pages", [1, 2, 1000])
def test_a_producer_that_the_reader_waits_for_is_not_bounded(pages: int) -> None:
    """Another producer, which comes later, holds the whole window until the reader has come to it."""

    found: list[str] = []

    async def main() -> None:
        root: OrderedProducer[str] = OrderedProducer()
        first, later, window = root.add_child(), root.add_child(), PageWindow(1)
        send, receive = anyio.create_memory_object_stream[list[str]](9)

        async def produce() -> None:
            for _ in range(pages):
                await window.acquire(first)
                await anyio.lowlevel.checkpoint()
            first.add_page(["a"])
            first.end()

        await window.acquire(later)
        later.add_page(["b"])
        later.end()
        root.end()
        async with anyio.create_task_group() as tasks, send, receive:
            tasks.start_soon(produce)
            await deliver(root, window, send)
            found.extend([*receive.receive_nowait(), *receive.receive_nowait()])

    run(Server([]), main)
    assert found == ["a", "b"]


def test_a_producer_that_is_not_waited_for_is_bounded() -> None:
    asked: list[int] = []

    async def main() -> None:
        root: OrderedProducer[str] = OrderedProducer()
        child, window = root.add_child(), PageWindow(3)
        while True:
            await window.acquire(child)
            asked.append(len(asked))

    with pytest.raises(StalledError):
        run(Server([]), main)
    assert len(asked) == 3
