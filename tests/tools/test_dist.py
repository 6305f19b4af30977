"""What a distribution may hold, and that CI builds and installs one."""

from __future__ import annotations

import pytest

from tests.docs.pages import ROOT
from tools.dist import REQUIRED, DistError, check_members

WHEEL = {
    "aios3sync/__init__.py": b"",
    "aios3sync/py.typed": b"",
    "aios3sync/cli/aios3sync.schema.json": b"{}",
    "aios3sync/testing/servers.py": b"# for tests of programs that use the package: /tmp/x",
    "aios3sync-1.0.0.dist-info/METADATA": b"Name: aios3sync",
    "aios3sync-1.0.0.dist-info/entry_points.txt": b"",
    "aios3sync-1.0.0.dist-info/licenses/LICENSE": b"Apache",
}


def test_a_wheel_with_all_that_belongs_in_it() -> None:
    check_members("a.whl", WHEEL, REQUIRED)


@pytest.mark.parametrize(
    "path", sorted(set(WHEEL) - {"aios3sync/__init__.py", "aios3sync/testing/servers.py"})
)
def test_what_is_missing_is_named(path: str) -> None:
    with pytest.raises(DistError, match=rf"a.whl lacks {path.rpartition('/')[2]}|lacks {path}"):
        check_members("a.whl", {name: WHEEL[name] for name in WHEEL if name != path}, REQUIRED)


@pytest.mark.parametrize(
    "path",
    [
        "tests/core/test_keys.py",
        "aios3sync/core/test_keys.py",
        "aios3sync/conftest.py",
        "aios3sync/__pycache__/session.cpython-311.pyc",
        "aios3sync/session.pyc",
        ".mypy_cache/x.json",
        "aios3sync/.DS_Store",
        "aios3sync-1.0.0/.ci/run",
        "aios3sync/run.log",
    ],
)
def test_what_only_developers_need_is_refused(path: str) -> None:
    with pytest.raises(DistError, match="what only developers need"):
        check_members("a.whl", {**WHEEL, path: b""}, REQUIRED)


@pytest.mark.parametrize("directory", ["work/main", "root/.cache", "home/someone/src", "Users/someone/src"])
def test_a_directory_of_the_machine_is_refused(directory: str) -> None:
    with pytest.raises(DistError, match="names a directory of this machine"):
        check_members("a.whl", {**WHEEL, "aios3sync/x.py": f'PLACE = "/{directory}/"'.encode()}, REQUIRED)


def test_ci_fails_where_a_distribution_does() -> None:
    """The step sets the status that the run ends with, after the tests."""
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    tests, step, end = (script.index(text) for text in ("test || status=$?", " dist >", 'exit "$status"'))
    assert tests < step < end
    assert "{ status=$?;" in script[step:end]
