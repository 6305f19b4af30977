"""How many processes a session may have, and that nothing is opened or loaded where it may have none."""

from __future__ import annotations

import os
import sys
from contextlib import AsyncExitStack
from typing import Any

import pytest

from aios3sync.options import ConnectOptions
from aios3sync.processes.available import most_processes
from aios3sync.processes.protocol import DownloadTree
from aios3sync.store.connections import Connections
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.stores import Stores


def have_cores(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)))


@pytest.mark.parametrize(
    ("cores", "neighbours", "most"),
    [
        (1, 1, 0),
        (2, 1, 1),
        (4, 1, 3),
        (5, 1, 4),
        (64, 1, 4),
        (8, 2, 3),
        (8, 4, 1),
        (8, 8, 0),
        (2, 8, 0),
        (4, 0, 3),
    ],
)
def test_one_core_is_left_to_each_session(
    monkeypatch: pytest.MonkeyPatch, cores: int, neighbours: int, most: int
) -> None:
    have_cores(monkeypatch, cores)
    assert most_processes(ConnectOptions(), neighbours) == most
    for wanted in (0, 1, 9):
        assert most_processes(ConnectOptions(processes=wanted), neighbours) == wanted


@pytest.fixture(params=["frozen", "another program", "no program", "not linux", "one core"])
def without_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine or a program that has none."""
    have_cores(monkeypatch, 8)
    match request.param:
        case "frozen":
            monkeypatch.setattr(sys, "frozen", True, raising=False)
        case "another program":
            monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
        case "no program":
            monkeypatch.setattr(sys, "executable", None)
        case "not linux":
            monkeypatch.setattr(sys, "platform", "darwin")
        case _:
            have_cores(monkeypatch, 1)


@pytest.mark.usefixtures("without_processes")
async def test_nothing_is_opened_for_processes_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Any] = []

    async def open_store(*place: Any, **_: Any) -> object:
        opened.append(place)
        return object()

    async def load(*modules: str) -> None:
        opened.append(modules)

    monkeypatch.setattr(Connections, "open_store", open_store)
    monkeypatch.setattr("aios3sync.stores.load", load)
    async with AsyncExitStack() as closing:
        stores = Stores(ConnectOptions(endpoint_url="http://127.0.0.1:9"), closing)
        open_offloader = stores.offloader("bkt", RequestCounts())
        open_downloader = stores.downloader("bkt", RequestCounts())
        assert open_offloader is not None
        assert open_downloader is not None
        assert await open_offloader() is None
        assert await open_downloader(DownloadTree("/", 0, 0, False)) is None
    assert opened == []
