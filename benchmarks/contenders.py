"""The contenders and their commands: tables of command templates; runs nothing but one help.

Placeholders: ``{tree}``, ``{empty}`` and ``{down}`` are directories, ``{target}`` is ``s3://{bucket}/{prefix}``,
``s3://{bucket}/{origin}`` has the objects of a download or a copy, and
``{python}``, ``{library}``, ``{find}``, ``{s5cmd}``, ``{rclone}``, ``{aws}``, ``{boto3-s3}`` are programs.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.cases import Verb

__all__ = ("OURS", "PEERS", "Contender", "filled_in", "our_lanes", "ours", "select_contenders")

OURS = "aios3sync"
_FEW = 10_000
_VERY_FEW = 1000
_MANY = 100
Slot = Verb | Literal["setup"]


@dataclass(frozen=True, slots=True)
class Contender:
    """One tool at one setting: one row of every table.

    Attributes:
        name: unique.
        tool: which program.
        setting: ``best``, ``default`` or what makes it special.
        verifies: it checks that the stored object is what it sent.
        commands: for each verb; ``setup`` uploads the tree before ``unchanged`` and ``changed`` (if there is
            none, ``fresh`` does), and a command of ``down-unchanged`` also downloads it first.
        configuration: its AWS configuration file.
        environment: its environment variables.
        stateless: its local state is removed before each run.
        max_items: the largest case that does not take it minutes; 0 for any.
        min_items: the smallest case in which it differs from another row of its tool.
        uploads: it moves objects; a contender that does not is a yardstick, and its bucket is not checked.
        compares_contents: it compares files and objects by their MD5s where nothing has changed.
        once: it is slow in every case, so it runs once a case, on HTTP without latency alone.
        extra: it is measured only if it is named: a comparison of our own settings.
    """

    name: str
    tool: str
    setting: str
    verifies: bool
    commands: Mapping[Slot, str]
    configuration: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    stateless: bool = False
    max_items: int = 0
    min_items: int = 0
    uploads: bool = True
    compares_contents: bool = False
    once: bool = False
    extra: bool = False

    @property
    def is_peer(self) -> bool:
        """Whether it is another project's tool."""
        return self.tool != OURS

    @property
    def setup(self) -> str:
        """The command that uploads the tree for the first time."""
        return self.commands.get("setup") or self.commands["fresh"]


_SYNC = "{python} -m aios3sync sync {tree} {target}"
_CLEAR = "{python} -m aios3sync sync {empty} {target} --delete --allow-empty-source --max-delete-ratio 1"
_ORIGIN = "s3://{bucket}/{origin}"
_DOWN = f"{{python}} -m aios3sync sync {_ORIGIN} {{down}}"
_COPY = f"{{python}} -m aios3sync sync {_ORIGIN} {{target}}"
_LIST = "{python} -m aios3sync sync {empty} {target} --check list --json"


def our_lanes() -> tuple[str, ...]:
    """Return the lanes that this version of our command line accepts, without ``auto``."""
    asked = [sys.executable, "-m", "aios3sync", "sync", "--help-connection"]
    text = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    found = re.search(r"--lane\s+\[([a-z|\s]+)\]", text)
    lanes = re.split(r"[|\s]+", found[1]) if found else []
    return tuple(lane for lane in lanes if lane and lane != "auto")


def ours(lanes: Sequence[str]) -> list[Contender]:
    """Return our own rows: as installed, each lane by itself, and the library without uvloop."""
    verb_commands: dict[Slot, str] = {
        "fresh": _SYNC,
        "unchanged": _SYNC,
        "walk": _SYNC,
        "changed": _SYNC,
        "delete": _CLEAR,
        "list": _LIST,
        "down": _DOWN,
        "down-unchanged": _DOWN,
        "copy": _COPY,
    }
    asking = f"{_SYNC} --check list"
    listing: dict[Slot, str] = {"setup": _SYNC, "unchanged": asking, "changed": asking}
    lost: dict[Slot, str] = {"setup": _SYNC, "unchanged": _SYNC}
    alone: dict[Slot, str] = {"fresh": f"{_SYNC} --processes 0"}
    library: dict[Slot, str] = {"fresh": "{python} {library} {tree} {target}"}
    rows = [
        Contender(OURS, OURS, "default, with its manifest", True, verb_commands),
        Contender(f"{OURS} listing", OURS, "--check list", True, listing),
        Contender(f"{OURS} manifest lost", OURS, "default, without its manifest", True, lost, stateless=True),
        Contender(f"{OURS} one process", OURS, "--processes 0", True, alone, extra=True),
        Contender(
            f"{OURS} library", OURS, "the library on plain asyncio, no uvloop", True, library, extra=True
        ),
    ]
    for lane in lanes:
        one: dict[Slot, str] = {
            "fresh": f"{_SYNC} --lane {lane}",
            "delete": f"{_CLEAR} --lane {lane}",
            "list": f"{_LIST} --lane {lane}",
        }
        max_items = _FEW if lane == "boto" else 0
        name = f"{OURS} lane {lane}"
        rows.append(Contender(name, OURS, f"--lane {lane}", True, one, max_items=max_items, extra=True))
    return rows


def _s5cmd() -> list[Contender]:
    tuned = "{s5cmd} --numworkers 32 --log error"
    everything = f"'{_ORIGIN}/*'"
    best: dict[Slot, str] = {
        "setup": "{s5cmd} --log error cp {tree}/ {target}/",
        "fresh": f"{tuned} cp {{tree}}/ {{target}}/",
        "unchanged": f"{tuned} sync {{tree}}/ {{target}}/",
        "changed": f"{tuned} sync {{tree}}/ {{target}}/",
        "delete": f"{tuned} rm {{target}}/*",
        "list": "{s5cmd} ls {target}/*",
        "down": f"{tuned} cp {everything} {{down}}/",
        "down-unchanged": f"{tuned} sync {everything} {{down}}/",
        "copy": f"{tuned} cp {everything} {{target}}/",
    }
    wide: dict[Slot, str] = {
        "fresh": "{s5cmd} --log error cp {tree}/ {target}/",
        "down": f"{{s5cmd}} --log error cp {everything} {{down}}/",
        "copy": f"{{s5cmd}} --log error cp {everything} {{target}}/",
    }
    default: dict[Slot, str] = {
        "fresh": "{s5cmd} sync {tree}/ {target}/",
        "unchanged": "{s5cmd} sync {tree}/ {target}/",
        "changed": "{s5cmd} sync {tree}/ {target}/",
        "delete": "{s5cmd} rm {target}/*",
        "down": f"{{s5cmd}} sync {everything} {{down}}/",
        "down-unchanged": f"{{s5cmd}} sync {everything} {{down}}/",
        "copy": f"{{s5cmd}} sync {everything} {{target}}/",
    }
    return [
        Contender("s5cmd best", "s5cmd", "32 workers; cp where nothing is there", False, best),
        Contender(
            "s5cmd wide", "s5cmd", "256 workers; cp where nothing is there", False, wide, min_items=_MANY
        ),
        Contender("s5cmd default", "s5cmd", "default (256 workers)", False, default),
    ]


_RCLONE = {
    "RCLONE_CONFIG_BENCH_TYPE": "s3",
    "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
    "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
    "RCLONE_CONFIG_BENCH_ENDPOINT": "{endpoint}",
}


def _rclone() -> list[Contender]:
    place, origin = "bench:{bucket}/{prefix}", "bench:{bucket}/{origin}"
    many = "--transfers 32 --checkers 32"
    quick = f"{{rclone}} sync {many} --fast-list --s3-no-head --s3-no-check-bucket"
    eager = "--transfers 256 --checkers 256"
    best: dict[Slot, str] = {
        "setup": f"{quick} {{tree}} {place}".replace(many, eager),
        "fresh": f"{quick} {{tree}} {place}",
        "unchanged": f"{quick} --update --use-server-modtime {{tree}} {place}",
        "changed": f"{quick} --update --use-server-modtime {{tree}} {place}",
        "delete": f"{{rclone}} delete {many} --fast-list {place}",
        "list": f"{{rclone}} lsf -R --files-only --fast-list {place}",
        "down": f"{quick} --use-server-modtime {origin} {{down}}",
        "down-unchanged": f"{quick} --use-server-modtime {origin} {{down}}",
        "copy": f"{quick} --use-server-modtime {origin} {place}",
    }
    careful: dict[Slot, str] = {
        "fresh": f"{{rclone}} sync {many} {{tree}} {place}",
        "unchanged": f"{{rclone}} sync {many} --fast-list --checksum {{tree}} {place}",
        "changed": f"{{rclone}} sync {many} --fast-list --checksum {{tree}} {place}",
        "down": f"{{rclone}} sync {many} --fast-list {origin} {{down}}",
        "down-unchanged": f"{{rclone}} sync {many} --fast-list --checksum {origin} {{down}}",
        "copy": f"{{rclone}} sync {many} --fast-list {origin} {place}",
    }
    default: dict[Slot, str] = {
        "fresh": f"{{rclone}} sync {{tree}} {place}",
        "unchanged": f"{{rclone}} sync {{tree}} {place}",
        "changed": f"{{rclone}} sync {{tree}} {place}",
        "delete": f"{{rclone}} delete {place}",
        "down": f"{{rclone}} sync {origin} {{down}}",
        "down-unchanged": f"{{rclone}} sync {origin} {{down}}",
        "copy": f"{{rclone}} sync {origin} {place}",
    }
    wide: dict[Slot, str] = {
        verb: best[verb].replace(many, eager) for verb in ("fresh", "changed", "down", "copy")
    }
    wide["setup"] = best["setup"]
    fast = "32 transfers and checkers, no HEAD after a PUT, server's times"
    return [
        Contender("rclone best", "rclone", fast, False, best, "", _RCLONE),
        Contender(
            "rclone wide", "rclone", "as best, with 256 transfers", False, wide, "", _RCLONE, min_items=_MANY
        ),
        Contender(
            "rclone verifying",
            "rclone",
            "32 transfers and checkers",
            True,
            careful,
            "",
            _RCLONE,
            compares_contents=True,
        ),
        Contender(
            "rclone default", "rclone", "default (4 transfers, 8 checkers)", True, default, "", _RCLONE
        ),
    ]


_TUNED = """[default]
request_checksum_calculation = when_required
response_checksum_validation = when_required
s3 =
    max_concurrent_requests = 32
"""
_CRT = f"{_TUNED}    preferred_transfer_client = crt\n"


def _aws_like(tool: str, program: str) -> list[Contender]:
    """Return the rows of ``aws s3`` or boto3-s3, which have the same commands and configuration file."""
    sync = f"{program} sync {{tree}} {{target}}"
    quiet = f"{sync} --only-show-errors"
    best: dict[Slot, str] = {
        "fresh": quiet,
        "unchanged": quiet,
        "changed": quiet,
        "delete": f"{program} rm --recursive --only-show-errors {{target}}",
        "list": f"{program} ls --recursive {{target}}/",
        "down": f"{program} sync {_ORIGIN} {{down}} --only-show-errors",
        "copy": f"{program} sync {_ORIGIN} {{target}} --only-show-errors",
    }
    default: dict[Slot, str] = {
        "fresh": sync,
        "unchanged": sync,
        "changed": sync,
        "delete": f"{program} rm --recursive {{target}}",
    }
    return [
        Contender(
            f"{tool} best",
            tool,
            "32 requests at once, no added checksums",
            False,
            best,
            _TUNED,
            max_items=_VERY_FEW,
            once=True,
        ),
        Contender(
            f"{tool} default",
            tool,
            "default (10 requests at once)",
            True,
            default,
            max_items=_VERY_FEW,
            once=True,
        ),
    ]


def _boto3_s3() -> list[Contender]:
    """Return the rows of ``aws``, and one with the client in C, which ``aws`` can use from version 2 on."""
    tool = "boto3-s3"
    quiet: dict[Slot, str] = {"fresh": "{boto3-s3} sync {tree} {target} --only-show-errors"}
    native = Contender(
        f"{tool} CRT",
        tool,
        "AWS Common Runtime as the client",
        False,
        quiet,
        _CRT,
        max_items=_VERY_FEW,
        once=True,
    )
    return [*_aws_like(tool, "{boto3-s3}"), native]


def _find() -> list[Contender]:
    walk: dict[Slot, str] = {"walk": "{find} {tree} -type f -printf '%s %T@ %i\\n'"}
    return [Contender("find", "find", "reads the stat of every file, no more", True, walk, uploads=False)]


PEERS = (*_s5cmd(), *_rclone(), *_aws_like("aws", "{aws} s3"), *_boto3_s3(), *_find())


def select_contenders(contenders: Sequence[Contender], wanted: Sequence[str]) -> list[Contender]:
    """Return those whose tool or name is wanted; extra ones only by their name, or by ``all``.

    Raises:
        ValueError: there is no contender of that name.
    """
    known = {"all"} | {name for each in contenders for name in (each.tool, each.name)}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"no such tool: {', '.join(unknown)}; there are {'; '.join(sorted(known))}")
    return [
        each
        for each in contenders
        if each.name in wanted or "all" in wanted or (not each.extra and (not wanted or each.tool in wanted))
    ]


def filled_in(template: str, places: Mapping[str, str]) -> list[str]:
    """Return the words of a command with its placeholders filled in; values are never split at blanks."""
    return [re.sub(r"\{([\w-]+)\}", lambda found: places[found[1]], word) for word in shlex.split(template)]
