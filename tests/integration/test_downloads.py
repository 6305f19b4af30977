"""Both directions on real servers: real trees up, down into an empty directory, and down again."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest
from anyio import to_thread

from aios3sync.testing.trees import make_tree
from tests.integration.conftest import Place
from tests.integration.test_real_input import CANNOT_HOLD, ODD_NAMES

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]


def files_of(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return the bytes and the mtime of every regular file, read without this package."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            found[os.path.relpath(path, root)] = (path.read_bytes(), path.stat().st_mtime_ns)
    return found


async def round_trip(place: Place, root: Path, down: Path) -> None:
    """Send a tree, fetch it into another directory, and fetch it again."""
    sent = await place.session.sync(root, place.url("p"))
    assert sent.exit_code == 0
    fetched = await place.session.sync(place.url("p"), down)
    assert (fetched.downloaded, fetched.exit_code) == (sent.uploaded, 0), fetched.errors
    expected = await to_thread.run_sync(files_of, root)
    assert await to_thread.run_sync(files_of, down) == expected
    again = await place.session.sync(place.url("p"), down, delete="mirror")
    assert (again.downloaded, again.deleted, again.conflicts) == (0, 0, 0)
    assert "GetObject" not in again.requests
    back = await place.session.sync(down, place.url("p"))
    assert (back.uploaded, back.requests) == (0, {})
    assert (await place.session.verify(place.url("p"), down)).exit_code == 0


async def test_odd_names_come_back_with_their_bytes_and_times(
    place: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.node.callspec.params["endpoint"]
    names = [name for name in ODD_NAMES if name not in CANNOT_HOLD[server]]
    root = make_tree(tmp_path / "odd", {name: f"content of {name}" for name in names})
    make_tree(root, {"empty": b""})
    with open(root / "sparse", "wb") as file:
        file.truncate(40 * 1024 * 1024)
    await round_trip(place, root, tmp_path / "down")


async def test_a_package_of_the_standard_library_comes_back(place: Place, tmp_path: Path) -> None:
    await round_trip(place, Path(sysconfig.get_path("stdlib"), "email"), tmp_path / "down")
