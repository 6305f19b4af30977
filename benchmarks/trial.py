"""One case under one condition: prepares, measures, checks and records each run; computes no figures."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.cases import Case
from benchmarks.checking import Finding, compare, count_listed, list_contents, read_contents
from benchmarks.conditions import Condition
from benchmarks.contenders import OURS, Contender, filled_in
from benchmarks.endpoints import BUCKET, ROOT, Server
from benchmarks.measuring import TIMED_OUT, Measurement, last_line, measure
from benchmarks.record import Record, Run
from benchmarks.schedule import Entrant, Schedule
from benchmarks.trees import Tree, TreePlan, build_tree, change

__all__ = ("Context", "Trial")

_FILLED: Final = f"{ROOT}/filled"
_FILL_SIZE: Final = 100


@dataclass(frozen=True, slots=True)
class Context:
    """What all trials have in common.

    Attributes:
        programs: placeholder to path.
        place: a directory in memory, removed by its owner.
        settle_s: pause after a change of files: careful tools hash files twice that have just changed.
        limit_s: how long one run may take.
        runs: how often each contender is measured at most.
        say: takes each line of the progress.
    """

    record: Record
    programs: Mapping[str, str]
    place: Path
    settle_s: float
    limit_s: float
    runs: int
    say: Callable[[str], None]

    def settle(self) -> None:
        """Wait until the files that have just been written are old enough."""
        time.sleep(self.settle_s)

    def public(self, text: str) -> str:
        """Return a message without paths and addresses of this machine."""
        return re.sub(r"https?://[\w.:-]+", "ENDPOINT", text.replace(str(self.place), "WORK"))


@dataclass(slots=True)
class Trial:
    """The runs of one case on one endpoint.

    Attributes:
        able: the contenders that have a command for the case.
        share_s: the time for all runs; infinity for as many as asked.
        generation: differs for each trial of the tree, so that each changes other files.
    """

    context: Context
    case: Case
    condition: Condition
    server: Server
    tree: Tree
    able: Sequence[Contender]
    share_s: float
    generation: int = 0

    def run(self) -> None:
        """Measure every contender, and leave no state."""
        shutil.rmtree(self.context.place / "homes", ignore_errors=True)
        runs = {
            "fresh": self._run_fresh,
            "delete": self._run_delete,
            "list": self._run_list,
            "down": self._run_down,
            "down-unchanged": self._run_down,
            "copy": self._run_copy,
        }
        runs.get(self.case.verb, self._run_unchanged)()

    # One method for each kind of case: the state before a run, and the check after it.

    def _run_fresh(self) -> None:
        for number, each, schedule in self._turns(self.able):
            self.server.reset()
            self._remove_state(each)
            done = self._measure(each, schedule, prefix=self._prefix(each))
            self._add_run(each, number, done, self._check(self._prefix(each)), schedule)

    def _run_unchanged(self) -> None:
        self.server.reset()
        ready = self._set_up()
        before = -1
        for number, each, schedule in self._turns(ready):
            if self.case.verb == "changed" and number != before:
                change(self.tree, self.case.changed, self.generation + number)
                self.context.settle()
            before = number
            if each.stateless:
                self._remove_state(each)
            done = self._measure(each, schedule, prefix=self._prefix(each))
            self._add_run(each, number, done, self._check_unchanged(each, number), schedule)

    def _check_unchanged(self, each: Contender, number: int) -> Finding:
        """Check the bucket; for a million objects that takes a minute, so only after the last round."""
        if not each.uploads or (self.case.verb == "walk" and number < self.context.runs - 1):
            return Finding()
        return self._check(self._prefix(each))

    def _run_delete(self) -> None:
        for number, each, schedule in self._turns(self.able):
            self._remove_state(each)
            self._fill()
            done = self._measure(each, schedule, prefix=_FILLED)
            left = list_contents(self.server.near, BUCKET, _FILLED)
            self._add_run(each, number, done, Finding(surplus=len(left)), schedule)

    def _run_list(self) -> None:
        self._fill()
        for number, each, schedule in self._turns(self.able):
            self._remove_state(each)
            done = self._measure(each, schedule, prefix=_FILLED)
            seen = count_listed(done.output, is_ours=each.tool == OURS) if done.exit_code == 0 else 0
            finding = Finding(lost=max(0, self.case.objects - seen))
            self._add_run(each, number, done, finding, schedule)

    def _run_down(self) -> None:
        """Download into an empty directory, or again into a directory that has everything."""
        self._fill_with_tree()
        again = self.case.verb == "down-unchanged"
        ready = [each for each in self.able if not again or self._download_first(each)]
        self.context.settle()
        for number, each, schedule in self._turns(ready):
            if not again:
                shutil.rmtree(self._down(each), ignore_errors=True)
                self._remove_state(each)
            done = self._measure(each, schedule, prefix=self._prefix(each))
            finding = self._check_down(each)
            self._add_run(each, number, done, finding, schedule)
            if not again:
                shutil.rmtree(self._down(each), ignore_errors=True)
        shutil.rmtree(self.context.place / "down", ignore_errors=True)

    def _download_first(self, each: Contender) -> bool:
        done = self._command(each, each.commands["down-unchanged"], self._prefix(each))
        finding = self._check_down(each)
        if done.exit_code == 0 and finding.is_good:
            return True
        self._note_failure(each, done, finding)
        shutil.rmtree(self._down(each), ignore_errors=True)
        return False

    def _check_down(self, each: Contender) -> Finding:
        return compare(self.tree.contents, read_contents(self._down(each), self.tree), etags=True)

    def _run_copy(self) -> None:
        self._fill_with_tree()
        for number, each, schedule in self._turns(self.able):
            self._remove_state(each)
            prefix = f"{self._prefix(each)}-{number}"
            done = self._measure(each, schedule, prefix=prefix)
            self._add_run(each, number, done, self._check(prefix), schedule)

    # Preparation

    def _set_up(self) -> list[Contender]:
        """Upload the tree for each contender; those that fail are left out, and noted in the record.

        Rows that share a prefix upload it once; our rows then begin with the state of that upload.
        """
        ready: list[Contender] = []
        first: dict[str, Contender] = {}
        for each in self.able:
            prefix = self._prefix(each)
            if prefix in first:
                if not each.is_peer:
                    shutil.copytree(self._home(first[prefix]), self._home(each))
            elif each.uploads:
                done = self._command(each, each.setup, prefix)
                finding = self._check(prefix)
                if done.exit_code or not finding.is_good:
                    self._note_failure(each, done, finding)
                    continue
                first[prefix] = each
            ready.append(each)
        self.context.settle()
        return ready

    def _note_failure(self, each: Contender, done: Measurement, finding: Finding) -> None:
        problem = self.context.public(str(finding) if done.exit_code == 0 else last_line(done))
        note = f"{self.case.name} ({self.condition.label}): {each.name} could not set up: {problem}"
        self.context.record.notes.append(note)
        self.context.say(f"  {note}")

    def _fill(self) -> None:
        """Create objects below one prefix, by the server itself if it can, else by an upload."""
        if self.server.fill(_FILLED, self.case.objects):
            return
        source = self.context.place / "filling"
        try:
            tree = build_tree(TreePlan("small", self.case.objects, _FILL_SIZE), source)
            self._upload(tree, _FILLED)
        finally:
            shutil.rmtree(source, ignore_errors=True)

    def _fill_with_tree(self) -> None:
        self.server.reset()
        self._upload(self.tree, self._origin)

    def _upload(self, tree: Tree, prefix: str) -> None:
        uploader = Contender("fill", OURS, "", True, {"fresh": "{python} -m aios3sync sync {tree} {target}"})
        self._remove_state(uploader)
        done = self._command(uploader, uploader.setup, prefix, tree)
        if done.exit_code:
            raise RuntimeError(f"the bucket could not be filled: {last_line(done)}")

    # One run

    def _turns(self, able: Sequence[Contender]) -> Iterator[tuple[int, Contender, Schedule]]:
        by_name = {each.name: each for each in able}
        unchanged = self.case.verb == "unchanged"
        entrants = [
            Entrant(each.name, each.is_peer, unchanged and each.compares_contents, each.once) for each in able
        ]
        limits = (self.context.runs, self.share_s, self.context.limit_s)
        schedule = Schedule(entrants, *limits, time.monotonic)
        for number, name in schedule.turns():
            yield number, by_name[name], schedule

    def _measure(self, each: Contender, schedule: Schedule, *, prefix: str) -> Measurement:
        return self._command(each, each.commands[self.case.verb], prefix, limit_s=schedule.limit)

    def _command(
        self,
        each: Contender,
        template: str,
        prefix: str,
        tree: Tree | None = None,
        limit_s: float | None = None,
    ) -> Measurement:
        home = self._home(each)
        for place in (home / "empty", self._down(each)):
            place.mkdir(parents=True, exist_ok=True)
        (home / "aws-config").write_text(each.configuration or "[default]\n")
        places = {
            **self.context.programs,
            "tree": str((tree or self.tree).root),
            "empty": str(home / "empty"),
            "down": str(self._down(each)),
            "bucket": BUCKET,
            "prefix": prefix,
            "origin": self._origin,
            "target": f"s3://{BUCKET}/{prefix}",
            "endpoint": self.server.endpoint.url,
        }
        words = filled_in(template, places)
        return measure(words, self._environment(each, home), home, limit_s or self.context.limit_s)

    def _environment(self, each: Contender, home: Path) -> dict[str, str]:
        """Return variables of the endpoint and the contender, and no others of the caller."""
        endpoint = self.server.endpoint
        own = {name: value.format(endpoint=endpoint.url) for name, value in each.environment.items()}
        authority = self.server.authority
        trust = {"AWS_CA_BUNDLE": str(authority), "SSL_CERT_FILE": str(authority)} if authority else {}
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "AWS_CONFIG_FILE": str(home / "aws-config"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": endpoint.region,
            "S3_ENDPOINT_URL": endpoint.url,
            "RCLONE_CONFIG": "/dev/null",
            **({} if self.server.etags else {"AIOS3SYNC_ETAGS": "opaque"}),
            **endpoint.environment(),
            **trust,
            **own,
        }

    def _check(self, prefix: str) -> Finding:
        found = list_contents(self.server.near, BUCKET, prefix)
        return compare(self.tree.contents, found, etags=self.server.etags)

    def _add_run(
        self, each: Contender, number: int, done: Measurement, finding: Finding, schedule: Schedule
    ) -> None:
        problem = str(finding)
        if done.exit_code == TIMED_OUT:
            problem = f"not done after {done.wall_s:.0f} s" + (f"; {problem}" if problem else "")
        elif done.exit_code:
            problem = f"exit {done.exit_code}: {last_line(done)}" + (f"; {problem}" if problem else "")
        run = Run(
            self.case.name,
            each.name,
            number,
            round(done.wall_s, 4),
            round(done.user_s, 4),
            round(done.system_s, 4),
            done.peak_kib,
            done.exit_code,
            self.context.public(problem),
            self.condition.label,
        )
        self.context.record.runs.append(run)
        if run.is_good:
            schedule.took(each.name, done.wall_s)
        cpu = done.user_s + done.system_s
        told = f"  {number + 1}  {each.name:26} {done.wall_s:9.3f} s  CPU {cpu:8.3f} s  {run.problem}"
        self.context.say(told.rstrip())

    # Places

    def _home(self, each: Contender) -> Path:
        return self.context.place / "homes" / _slug(each.name)

    def _down(self, each: Contender) -> Path:
        return self.context.place / "down" / _slug(each.name)

    def _remove_state(self, each: Contender) -> None:
        shutil.rmtree(self._home(each), ignore_errors=True)

    @property
    def _origin(self) -> str:
        """The prefix of the objects that are downloaded or copied."""
        return f"{ROOT}/{self.case.name}/origin"

    def _prefix(self, each: Contender) -> str:
        """Return the prefix of a contender; rows of one tool share it where nothing is changed."""
        name = each.tool if self.case.verb == "unchanged" else each.name
        return f"{ROOT}/{self.case.name}/{_slug(name)}"


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())
