"""Options of statistics: how to count, and what the cache may be used for; checked once, then frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from aios3sync._dataclass import dataclass, field, replace
from aios3sync._typing import get_args
from aios3sync.errors import UsageError
from aios3sync.field_types import Seconds, Texts, conform
from aios3sync.stats.model import Mode

__all__ = ("StatsKeywords", "StatsOptions")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsOptions:
    """How to compute statistics.

    Attributes:
        mode: ``quick`` needs a listing alone; ``sampled`` sends a HEAD request for one object of each folder
            with deltas (or compressed objects); ``detailed`` for all of them.
        every: with ``detailed``, send a HEAD request for every object: the only way to find compressed
            objects whose extension is not in ``gzip``.
        gzip: extensions that were uploaded with ``gzip=``; such objects get a HEAD request.
        use_cache: read and write the cache in the bucket.
        create_cache: write it also where there is none yet; without, only one that exists is kept current.
        refresh: count even if the cache is current, and write it.
        max_age: seconds; a cache younger than this is returned without a listing. ``None`` always lists.
        background: return the cached numbers at once, however old they are, and refresh the cache in the
            background.
        deltaglider: also trust a cache that DeltaGlider wrote, which has count and bytes alone.
        list_workers: pages of the listing to request at once, 0 for as many as help.
        request_payer: accept to pay for the requests.
        sse_customer_key: the 32 raw bytes of the objects' SSE-C key, for HEAD requests; never in ``repr``.
    """

    mode: Mode = "quick"
    every: bool = False
    gzip: tuple[str, ...] = ()
    use_cache: bool = True
    create_cache: bool = True
    refresh: bool = False
    max_age: Seconds | None = None
    background: bool = False
    deltaglider: bool = False
    list_workers: int = 0
    request_payer: bool = False
    sse_customer_key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        conform(self)
        if self.mode not in get_args(Mode):
            raise UsageError(f"mode: {self.mode!r} is not one of quick, sampled and detailed")
        if self.every and self.mode != "detailed":
            raise UsageError("every: only the mode 'detailed' can ask for every object")
        if self.max_age is not None and not self.max_age >= 0:
            raise UsageError(f"max_age: {self.max_age} is not a number of seconds")
        if self.sse_customer_key and len(self.sse_customer_key) != 32:
            raise UsageError("sse_customer_key: an SSE-C key has exactly 32 bytes")
        if self.list_workers < 0:
            raise UsageError(f"list_workers: {self.list_workers} is not a number of requests")
        if not self.use_cache and (self.refresh or self.background or self.max_age is not None):
            raise UsageError(
                "use_cache: without the cache there is nothing to refresh, and no age to ask for"
            )
        if self.background and self.refresh:
            raise UsageError(
                "background: it answers from the cache, and refresh forbids that; give one of them"
            )
        plain = tuple(sorted({extension.lower().lstrip(".") for extension in self.gzip}))
        object.__setattr__(self, "gzip", plain)

    @classmethod
    def of(cls, changes: Mapping[str, Any]) -> StatsOptions:
        """Return options with these fields.

        Raises:
            UsageError: one of them is no field, or its value is not possible.
        """
        try:
            return replace(cls(), **changes)
        except TypeError:
            unknown = ", ".join(sorted(set(changes) - set(cls.__slots__)))
            raise UsageError(f"not an option of stats(): {unknown}") from None


class StatsKeywords(TypedDict, total=False):
    """The keyword arguments of ``stats()``: the fields of :class:`StatsOptions`."""

    mode: Mode
    every: bool
    gzip: Texts
    use_cache: bool
    create_cache: bool
    refresh: bool
    max_age: float | str | None
    background: bool
    deltaglider: bool
    list_workers: int
    request_payer: bool
    sse_customer_key: bytes
