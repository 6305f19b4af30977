"""The live view on a terminal; the drawing is loaded only for runs that take a moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from aios3sync.cli.errors import print_error, stopping_text
from aios3sync.cli.output.conclusion import PrintedFailures, print_conclusion
from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.plain import endpoint_line, event_line
from aios3sync.cli.output.silence import Silence
from aios3sync.cli.output.summary import run_line
from aios3sync.cli.output.view import Conclude, Output
from aios3sync.core.text import count, printable
from aios3sync.events import EndpointKnown, Event, Finished, ObjectDeleted, Warned, Watching
from aios3sync.progress import Progress

if TYPE_CHECKING:
    from aios3sync.cli.output.live_drawing import Drawing
    from aios3sync.cli.output.live_frame import Caption

__all__ = ("LiveView",)

_DELAY_S: Final = 0.3
"""Seconds before the first drawing: a shorter run would only flicker, and need not load the library."""
_MOST_FAILURES: Final = 100
_MOST_DELETES: Final = 20
"""Deletes that are printed without ``-v``: enough to notice a run that deletes the wrong objects."""


class LiveView:
    """See :class:`~aios3sync.cli.output.view.View`: a drawing, lines above it, the summary at the end."""

    def __init__(
        self,
        out: Lines,
        err: Lines,
        conclude: Conclude,
        heading: str,
        output: Output,
        *,
        dry_run: bool = False,
    ) -> None:
        self._out = out
        self._err = err
        self._conclude = conclude
        self._heading = heading
        self._output = output
        self._dry_run = dry_run
        self._verbose = output.verbose
        self.single_events = 1_000_000 if output.verbose else _MOST_DELETES
        self._note = ""
        self._progress = Progress()
        self._began = time.monotonic()
        self._silence = Silence(self._began)
        self._drawing: Drawing | None = None
        self._above: list[str] = []
        self._stopping = ""
        self._warned: set[str] = set()

    def __call__(self, event: Event, /) -> None:
        """Count the event; deletes, and with ``-v`` all actions, get a line above the drawing."""
        self._progress.take(event)
        if isinstance(event, Warned):
            self._warned.add(event.message)
            self._above.append(f"warning: {printable(event.message)}")
        elif isinstance(event, EndpointKnown):
            if self._verbose:
                self._above.append(endpoint_line(event))
        elif isinstance(event, Watching):
            self._note = _watching(event)
        elif isinstance(event, Finished):
            if self._output.runs and (line := run_line(event.report)):
                self._above.append(line)
            self._progress = Progress()
        elif self._has_line(event) and (line := event_line(event)):
            self._above.append(line)

    def _has_line(self, event: Event) -> bool:
        if self._dry_run:
            return False  # they come at the end, in the order of a plan
        few = type(event) is ObjectDeleted and self._progress.deleted <= _MOST_DELETES
        return few or self._verbose > 0

    def tick(self) -> None:
        """Draw again."""
        now = time.monotonic()
        self._progress.sample(now)
        if self._drawing is None:
            if now - self._began < _DELAY_S:
                return
            # Loaded here: the terminal library takes as long as a small run.
            from aios3sync.cli.output.live_drawing import Drawing

            self._drawing = Drawing()
        above, self._above = self._above, []
        self._drawing.draw(self._progress, now - self._began, self._caption(now), above)

    def _caption(self, now: float) -> Caption:
        from aios3sync.cli.output.live_frame import Caption

        idle = not self._progress.phase
        waiting = self._silence.text(self._progress, now)
        heading = f"(dry run) {self._heading}" if self._dry_run else self._heading
        note = self._stopping or (self._note if idle else "")
        return Caption(heading, note, waiting, self._output.kept, self._dry_run)

    def stopping(self, signal: int) -> None:
        """Show the message in the drawing at once, or print it where nothing was drawn yet."""
        self._stopping = stopping_text(signal)
        if self._drawing is None:
            self._above.append(self._stopping)
            self.close()
        self.tick()

    def close(self) -> None:
        """Erase the drawing and print the lines that belong above it."""
        if self._drawing is not None:
            self._drawing.close()
            self._drawing = None
        for line in self._above:
            self._out.line(line)
        self._above = []
        self._out.flush()

    def report(self, report: Any) -> None:
        """Print the summary instead of the drawing."""
        unlisted = 0 if self._verbose or self._dry_run else self._progress.deleted - _MOST_DELETES
        if unlisted > 0:
            self._above.append(f"... and {count(unlisted, 'more delete')} (-v lists them all)")
        self.close()
        conclusion = self._conclude(report)
        if conclusion.plan is not None:
            from aios3sync.cli.output.plan_lines import show_plan

            show_plan(conclusion.plan, self._out, verbose=self._verbose > 0)
        print_conclusion(
            self._out,
            self._err,
            conclusion,
            printed=PrintedFailures(),
            warned=self._warned,
            limit=_MOST_FAILURES,
        )

    def fail(self, error: BaseException) -> None:
        """Print the error instead of the drawing."""
        self.close()
        print_error(error, verbose=self._verbose > 1)


def _watching(event: Watching) -> str:
    """Return the text for what a watch waits for."""
    if event.waiting:
        rest = "it rests" if event.waiting == 1 else "they rest"
        return f"watching: {count(event.waiting, 'changed file')} will be sent when {rest}"
    return "watching: all of the source is compared soon" if event.rescan else "watching: nothing to do"
