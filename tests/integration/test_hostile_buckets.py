"""Buckets and endpoints that mean harm: keys that lead elsewhere, bodies that are not what was asked for."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from aios3sync.core.parts import MIB
from tests.integration.object_server import Answer, ObjectServer, files, object_server, start_sync, visible

pytestmark = pytest.mark.timeout(300)

GOOD = {"good": b"good", "d/control\x01\x1b[31m": b"a name like any other"}
HOSTILE = [f"../x{n:05}" for n in range(10_000)]
HOSTILE += ["/etc/absolute", "a//b", "./here", "d/../../up", "d/..", "..", ".", "x" * 256, "d/"]
LARGE = random.Random(5).randbytes(20 * MIB)  # noqa: S311


def run(server: ObjectServer, root: Path, *options: str) -> tuple[int, list[str], int]:
    """Return the exit code, the lines of stderr and the most memory in KiB."""
    process = start_sync(server, root, "--no-progress", *options)
    assert process.stderr is not None
    told = process.stderr.read().decode().splitlines()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, told, usage.ru_maxrss


def test_keys_that_lead_elsewhere_are_told_and_skipped(tmp_path: Path) -> None:
    root = tmp_path / "above" / "t"
    with object_server({f"p/{key}": body for key, body in GOOD.items()}) as server:
        code, told, memory = run(server, root)
        assert (code, told, files(root)) == (0, [], GOOD)
        server.replace({f"p/{key}": b"evil" for key in HOSTILE} | server.objects)
        code, told, most = run(server, root)
    assert code == 3, "what the bucket has is not all here"
    assert files(root) == GOOD
    assert {path.name for path in root.parent.iterdir()} <= {"t", "m.sqlite", "m.sqlite.lock"}
    assert {path.name for path in tmp_path.iterdir()} == {"above"}
    assert len(told) == 6, "one line for each reason"
    assert all(line.startswith("warning: skipped '") for line in told)
    wanted = "warning: skipped '..', '../x00000', '../x00001' and 10000 more: the key has the part '..'"
    assert any(line.startswith(wanted) for line in told), told
    for key in ("'/etc/absolute'", "'a//b'", "'./here'", "'d/'"):
        assert any(key in line for line in told), told
    assert most < memory + 48 * 1024, "KiB: memory does not grow with the keys"


def _other(answer: Answer) -> Answer:
    return answer._replace(body=bytes(len(answer.body)))


def _fewer(answer: Answer) -> Answer:
    return answer._replace(body=answer.body[:-1])


def _more(answer: Answer) -> Answer:
    return answer._replace(body=answer.body + b"x")


def _wrong_range(answer: Answer) -> Answer:
    return Answer(answer.body, f"bytes 1-{len(answer.body)}/{len(LARGE) + 1}")


@pytest.mark.parametrize("lie", [_other, _fewer, _more, _wrong_range])
def test_bodies_that_are_not_what_was_asked_for_become_no_files(tmp_path: Path, lie: object) -> None:
    objects = {"p/good": b"good", "p/small": b"small object", "p/large": LARGE}
    assert callable(lie)
    with object_server(objects) as server:
        server.lie = lambda key, answer: answer if key == "p/good" else lie(answer)
        code, told, _ = run(server, tmp_path / "t")
        assert code == 3, told
        assert visible(tmp_path / "t") == {"good": b"good"}
        named = [line for line in told if line.startswith("failed: ")]
        assert sorted(line.split(": ")[1] for line in named) == ["large", "small"], told
        assert len(server.sent) < 20
        server.lie = lambda _, answer: answer
        assert run(server, tmp_path / "t")[:2] == (0, [])
        assert files(tmp_path / "t") == {key.removeprefix("p/"): body for key, body in objects.items()}
