"""Call the sinks of the application; the error of a sink ends the run orderly and reaches the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aios3sync._dataclass import replace
from aios3sync.events import Event, EventSink, OutcomeSink, discard

if TYPE_CHECKING:
    from aios3sync.sync.resources import Resources

__all__ = ("Callbacks",)


class Callbacks:
    """The sinks of one run, each called until it raises for the first time.

    An error of a sink must not interrupt the work that it only listens to: the file is stored by then and has
    to be recorded. So the error is kept and the run is asked to stop; what is in flight ends and is recorded,
    and :meth:`raised` raises the error.

    Args:
        stop: asks the run to end early and orderly.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._error: Exception | None = None

    def wrapped(self, resources: Resources) -> Resources:
        """Return the resources of a run, with sinks that never raise."""
        sinks = tuple(map(self.outcomes, resources.outcome_sinks))
        return replace(resources, on_event=self.events(resources.on_event), outcome_sinks=sinks)

    def events(self, sink: EventSink) -> EventSink:
        """Wrap an event sink so that it never raises."""
        if sink is discard:
            return sink  # stages compare with it, to make no event at all
        active = True

        def call(event: Event, /) -> None:
            nonlocal active
            if active:
                try:
                    sink(event)
                except Exception as error:  # noqa: BLE001 - raised to the caller, see raised()
                    active = False
                    self._failed(error)

        return call

    def outcomes(self, sink: OutcomeSink) -> OutcomeSink:
        """Wrap an outcome sink so that it never raises; the other sinks are called to the end of the run."""
        return _Outcomes(sink, self._failed)

    def _failed(self, error: Exception) -> None:
        self._error = self._error or error
        self._stop()

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Do the work of the run, then raise the first error of a sink, even if the run failed after it."""
        try:
            yield
        except Exception as error:
            if self._error is None:
                raise
            raise self._error from error
        if self._error is not None:
            raise self._error


class _Outcomes:
    def __init__(self, sink: OutcomeSink, failed: Callable[[Exception], None]) -> None:
        self._sink: OutcomeSink | None = sink
        self._failed = failed

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Pass on a batch, unless the sink has raised before."""
        if self._sink is None:
            return
        try:
            await self._sink.outcomes(batch)
        except Exception as error:  # noqa: BLE001 - raised to the caller, see Callbacks.raised()
            self._sink = None
            self._failed(error)
