"""The live view of a terminal: collects what to show; loads the drawing part only for runs that last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from aios3sync.cli.failure import tell
from aios3sync.cli.plain import event_line, print_conclusion
from aios3sync.cli.printing import Lines, printable
from aios3sync.cli.progress import Progress
from aios3sync.cli.views import Conclude
from aios3sync.events import Event, Failed, Warned

if TYPE_CHECKING:
    from aios3sync.cli.drawing import Drawing

__all__ = ("LiveView",)

_PATIENCE_S: Final = 0.3
"""A run that ends sooner is never drawn: it would only flicker, and a run without changes stays cheap."""
_MOST_FAILURES: Final = 100


class LiveView:
    """See :class:`~aios3sync.cli.views.View`."""

    def __init__(self, out: Lines, err: Lines, conclude: Conclude, heading: str, *, verbose: int = 0) -> None:
        self._out = out
        self._err = err
        self._conclude = conclude
        self._heading = heading
        self._verbose = verbose
        self._progress = Progress()
        self._began = time.monotonic()
        self._drawing: Drawing | None = None
        self._above: list[str] = []
        self._told = 0
        self._warned: set[str] = set()

    def __call__(self, event: Event, /) -> None:
        """Count the event; with ``-v`` its line goes above the view."""
        self._progress.take(event)
        if isinstance(event, Warned):
            self._warned.add(event.message)
            self._above.append(f"warning: {printable(event.message)}")
        elif self._verbose and (line := event_line(event)):
            self._told += isinstance(event, Failed)
            self._above.append(line)

    def tick(self) -> None:
        """Draw anew."""
        now = time.monotonic()
        self._progress.sample(now)
        if self._drawing is None:
            if now - self._began < _PATIENCE_S:
                return
            # Loaded here: the terminal library takes as long as a small run.
            from aios3sync.cli.drawing import Drawing

            self._drawing = Drawing(self._heading)
        above, self._above = self._above, []
        self._drawing.draw(self._progress, now - self._began, above)

    def close(self) -> None:
        """Take the view down; what should stand above it is printed."""
        if self._drawing is not None:
            self._drawing.close()
            self._drawing = None
        for line in self._above:
            self._out.line(line)
        self._above = []
        self._out.flush()

    def report(self, report: Any) -> None:
        """Print the summary in the view's place."""
        self.close()
        print_conclusion(
            self._out,
            self._err,
            self._conclude(report),
            told=self._told,
            warned=self._warned,
            limit=_MOST_FAILURES,
        )

    def fail(self, error: BaseException) -> None:
        """Print the error in the view's place."""
        self.close()
        tell(error, verbose=self._verbose > 1)
