"""Runs the cases: prepares, measures, checks and records each run; computes no figures."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from benchmarks import machine
from benchmarks.cases import Case, rounds
from benchmarks.checking import Finding, compare, count_listed, list_contents
from benchmarks.contenders import OURS, Contender, filled_in
from benchmarks.endpoints import BUCKET, ROOT, Server, client_of
from benchmarks.measuring import Measurement, last_line, measure
from benchmarks.record import CaseRow, Record, Run
from benchmarks.trees import Content, Tree, TreePlan, build_tree, change

__all__ = ("Bench",)

_TENTH: Final = 10
_FILLED: Final = "filled"
_FILL_SIZE: Final = 100


@dataclass(slots=True)
class Bench:
    """The runs on one endpoint.

    Attributes:
        runs: how often each contender is measured.
        place: a directory in memory, removed by its owner.
        programs: placeholder to path.
        settle_s: pause after a change of files: careful tools hash files twice that have just changed.
        limit_s: how long one run may take.
        patient: also measure contenders that take minutes for a case.
        saved: called after each case, so that an interruption loses one case at most.
    """

    record: Record
    server: Server
    contenders: Sequence[Contender]
    programs: Mapping[str, str]
    place: Path
    runs: int
    settle_s: float
    limit_s: float
    patient: bool
    say: Callable[[str], None]
    saved: Callable[[], None]

    def run_case(self, case: Case) -> None:
        """Run one case with each contender that has a command for it."""
        able = [each for each in self.contenders if case.verb in each.commands]
        if not self.patient:
            able = self._without_slow(case, able)
        free = machine.free_memory()
        reason = ""
        if free < case.memory:
            reason = f"needs {case.memory >> 20:,} MiB of memory, {free >> 20:,} were free"
        elif not able:
            reason = "no chosen contender can do it"
        if reason:
            self.say(f"{case.title}: skipped, {reason}")
            self.record.cases.append(CaseRow(case.name, case.title, case.verb, case.items, skipped=reason))
            return
        self.say(f"{case.title}:")
        tree = build_tree(case.tree, self.place / "tree")
        row = CaseRow(case.name, case.title, case.verb, case.items, tree.total, _changed(case))
        self.record.cases.append(row)
        try:
            self._settle()
            self._dispatch(case, tree, able)
        except (RuntimeError, BotoCoreError, ClientError) as error:
            # The endpoint failed, not a contender: the other cases may still be possible.
            self.record.notes.append(f"{case.name} ended early: {self._public(str(error))}")
        finally:
            shutil.rmtree(tree.root, ignore_errors=True)
            self.saved()

    def _without_slow(self, case: Case, able: Sequence[Contender]) -> list[Contender]:
        slow = [each.name for each in able if each.max_items and case.items > each.max_items]
        if slow:
            self.record.notes.append(
                f"{case.name} without {', '.join(slow)}: --patient measures them as well"
            )
        return [each for each in able if each.name not in slow]

    def _dispatch(self, case: Case, tree: Tree, able: Sequence[Contender]) -> None:
        if case.verb == "fresh":
            self._run_fresh(case, tree, able)
        elif case.verb == "delete":
            self._run_delete(case, tree, able)
        elif case.verb == "list":
            self._run_list(case, tree, able)
        else:
            self._run_unchanged(case, tree, able)

    # One method for each kind of case: the state before a run, and the check after it.

    def _run_fresh(self, case: Case, tree: Tree, able: Sequence[Contender]) -> None:
        for number, each in _order(able, self.runs):
            self.server.reset()
            self._remove_state(each)
            done = self._measure(case, each, tree, _prefix(case, each))
            self._add_run(case, each, number, done, self._check(tree.contents, _prefix(case, each)))

    def _run_unchanged(self, case: Case, tree: Tree, able: Sequence[Contender]) -> None:
        self.server.reset()
        ready = self._set_up(case, tree, able)
        before = -1
        for number, each in _order(ready, self.runs):
            if case.verb == "changed" and number != before:
                change(tree, _TENTH, number)
                self._settle()
            before = number
            if each.stateless:
                self._remove_state(each)
            done = self._measure(case, each, tree, _prefix(case, each))
            self._add_run(case, each, number, done, self._check_unchanged(case, each, number, tree))

    def _check_unchanged(self, case: Case, each: Contender, number: int, tree: Tree) -> Finding:
        """Check the bucket; for a million objects that takes a minute, so only after the last round."""
        if not each.uploads or (case.verb == "walk" and number < self.runs - 1):
            return Finding()
        return self._check(tree.contents, _prefix(case, each))

    def _run_delete(self, case: Case, tree: Tree, able: Sequence[Contender]) -> None:
        for number, each in _order(able, self.runs):
            self._remove_state(each)
            self._fill(case.objects)
            done = self._measure(case, each, tree, f"{ROOT}/{_FILLED}")
            self._add_run(case, each, number, done, self._check({}, f"{ROOT}/{_FILLED}"))

    def _run_list(self, case: Case, tree: Tree, able: Sequence[Contender]) -> None:
        self._fill(case.objects)
        for number, each in _order(able, self.runs):
            self._remove_state(each)
            done = self._measure(case, each, tree, f"{ROOT}/{_FILLED}")
            seen = count_listed(done.output, is_ours=each.tool == OURS) if done.exit_code == 0 else 0
            self._add_run(case, each, number, done, Finding(lost=max(0, case.objects - seen)))

    def _set_up(self, case: Case, tree: Tree, able: Sequence[Contender]) -> list[Contender]:
        """Upload the tree for each contender; those that fail are left out, and noted in the record."""
        ready, prefixes = [], set()
        for each in able:
            prefix = _prefix(case, each)
            if each.uploads and prefix not in prefixes:
                self._remove_state(each)
                done = self._run(each, each.setup, tree, prefix)
                finding = self._check(tree.contents, prefix)
                if done.exit_code or not finding.is_good:
                    problem = str(finding) or last_line(done)
                    self.record.notes.append(f"{case.name}: {each.name} could not set up: {problem}")
                    continue
            prefixes.add(prefix)
            ready.append(each)
        self._settle()
        return ready

    def _fill(self, count: int) -> None:
        """Create ``count`` objects below one prefix, by the server itself if it can, else by an upload."""
        prefix = f"{ROOT}/{_FILLED}"
        if self.server.fill(prefix, count):
            return
        source = self.place / "filling"
        try:
            tree = build_tree(TreePlan("small", count, _FILL_SIZE), source)
            uploader = Contender(
                "fill", OURS, "", True, {"fresh": "{python} -m aios3sync sync {tree} {target}"}
            )
            self._remove_state(uploader)
            done = self._run(uploader, uploader.setup, tree, prefix)
        finally:
            shutil.rmtree(source, ignore_errors=True)
        if done.exit_code:
            raise RuntimeError(f"the bucket could not be filled: {last_line(done)}")

    # One run

    def _measure(self, case: Case, each: Contender, tree: Tree, prefix: str) -> Measurement:
        return self._run(each, each.commands[case.verb], tree, prefix)

    def _run(self, each: Contender, template: str, tree: Tree, prefix: str) -> Measurement:
        home = self.place / "homes" / _slug(each.name)
        (home / "empty").mkdir(parents=True, exist_ok=True)
        (home / "aws-config").write_text(each.configuration or "[default]\n")
        places = {
            **self.programs,
            "tree": str(tree.root),
            "empty": str(home / "empty"),
            "bucket": BUCKET,
            "prefix": prefix,
            "target": f"s3://{BUCKET}/{prefix}",
            "endpoint": self.server.endpoint.url,
        }
        return measure(filled_in(template, places), self._environment(each, home), home, self.limit_s)

    def _environment(self, each: Contender, home: Path) -> dict[str, str]:
        """Return variables of the endpoint and the contender, and no others of the caller."""
        endpoint = self.server.endpoint
        own = {name: value.format(endpoint=endpoint.url) for name, value in each.environment.items()}
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "AWS_CONFIG_FILE": str(home / "aws-config"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "S3_ENDPOINT_URL": endpoint.url,
            "RCLONE_CONFIG": "/dev/null",
            **({} if self.server.etags else {"AIOS3SYNC_ETAGS": "opaque"}),
            **endpoint.environment(),
            **own,
        }

    def _remove_state(self, each: Contender) -> None:
        shutil.rmtree(self.place / "homes" / _slug(each.name), ignore_errors=True)

    def _settle(self) -> None:
        time.sleep(self.settle_s)

    def _check(self, expected: Mapping[str, Content], prefix: str) -> Finding:
        client = client_of(self.server.endpoint)
        try:
            return compare(expected, list_contents(client, BUCKET, prefix), etags=self.server.etags)
        finally:
            client.close()

    def _add_run(self, case: Case, each: Contender, number: int, done: Measurement, finding: Finding) -> None:
        problem = str(finding)
        if done.exit_code:
            problem = f"exit {done.exit_code}: {last_line(done)}" + (f"; {problem}" if problem else "")
        run = Run(
            case.name,
            each.name,
            number,
            round(done.wall_s, 4),
            round(done.user_s, 4),
            round(done.system_s, 4),
            done.peak_kib,
            done.exit_code,
            self._public(problem),
        )
        self.record.runs.append(run)
        cpu = done.user_s + done.system_s
        self.say(f"  {number + 1}  {each.name:26} {done.wall_s:9.3f} s  CPU {cpu:8.3f} s  {run.problem}")

    def _public(self, text: str) -> str:
        """Return a message without paths and addresses of this machine."""
        return text.replace(str(self.place), "WORK").replace(self.server.endpoint.url, "ENDPOINT")


def _order(able: Sequence[Contender], count: int) -> list[tuple[int, Contender]]:
    by_name = {each.name: each for each in able}
    return [(number, by_name[name]) for number, names in rounds(list(by_name), count) for name in names]


def _changed(case: Case) -> int:
    return -(-case.tree.count // _TENTH) if case.verb == "changed" else 0


def _prefix(case: Case, each: Contender) -> str:
    """Return the prefix of a contender; rows of one tool share it where nothing is changed."""
    name = each.tool if case.verb == "unchanged" and each.is_peer else each.name
    return f"{ROOT}/{case.name}/{_slug(name)}"


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())
