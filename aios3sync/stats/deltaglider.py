"""DeltaGlider's own numbers and its cache file, the envelope, as of its version 6. Pure.

DeltaGlider takes an envelope for current if count and bytes of a listing are those in the envelope. They
include all objects: the files of tools too, and so the envelope itself. It lists at most MAX_LISTED
objects; for a larger bucket no envelope is written, because it would never match. Release 6.2.0 fails to
read any envelope.

Its reader accepts a file whose ``version`` is "1.0", whose ``mode`` is the wanted one, and whose ``stats``
hold exactly the fields that it knows. It ignores other fields at the top level, so our additions are there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Final

from aios3sync._dataclass import asdict, dataclass
from aios3sync.stats.model import DeltaGliderStats, Mode
from aios3sync.stats.original_sizes import KindTotals
from aios3sync.store.protocol import PutOptions

__all__ = (
    "ENVELOPE_OPTIONS",
    "MAX_LISTED",
    "Envelope",
    "decode_envelope",
    "deltaglider_stats",
    "encode_envelope",
    "envelope_path",
)

_VERSION: Final = "1.0"
_OURS: Final = "aios3sync"
MAX_LISTED: Final[Mapping[Mode, int]] = {"quick": 60_000, "sampled": 30_000, "detailed": 30_000}
"""Objects that DeltaGlider lists at most."""

ENVELOPE_OPTIONS: Final = PutOptions(
    content_type="application/json",
    metadata={"content-type": "application/json", "x-deltaglider-cache": "true"},
)
"""The headers that DeltaGlider sends: the content type is in the user metadata as well."""


def envelope_path(mode: Mode) -> str:
    """Return the key of the envelope of a whole bucket; there is none for prefixes."""
    return f".deltaglider/stats_{mode}.json"


def deltaglider_stats(bucket: str, kinds: KindTotals, delta_bytes: int) -> DeltaGliderStats:
    """Return the numbers as DeltaGlider computes them.

    Args:
        bucket: its name.
        kinds: the totals of the listing.
        delta_bytes: the original bytes of all deltas, as far as their metadata have them.
    """
    deltas, references = kinds.listed["delta"], kinds.listed["reference"]
    direct = kinds.listed["direct"].stored + kinds.listed["candidate"].stored
    direct_objects = kinds.listed["direct"].objects + kinds.listed["candidate"].objects
    total = direct + delta_bytes
    stored = direct + deltas.stored + (references.stored if deltas.objects else 0)
    saved = max(total - stored, 0) if total else 0
    return DeltaGliderStats(
        bucket=bucket,
        object_count=deltas.objects + direct_objects,
        total_size=total,
        compressed_size=stored,
        space_saved=saved,
        average_compression_ratio=min(saved / total, 1.0) if total > 0 else 0.0,
        delta_objects=deltas.objects,
        direct_objects=direct_objects,
    )


@dataclass(frozen=True, slots=True)
class Envelope:
    """The content of an envelope.

    Attributes:
        computed_at: ISO 8601, not checked.
        object_count, stored_bytes: the totals that a listing of all objects must have for it to be current.
        fingerprint: ours, or empty where DeltaGlider wrote the file.
        stats: DeltaGlider's numbers.
    """

    computed_at: str
    object_count: int
    stored_bytes: int
    fingerprint: str
    stats: DeltaGliderStats


def encode_envelope(
    mode: Mode,
    others: tuple[int, int],
    fingerprint: str,
    stats: DeltaGliderStats,
    computed_at: float,
) -> bytes:
    """Return the content of the file.

    Args:
        mode: of the statistics.
        others: count and bytes of all objects of the bucket but this file.
        fingerprint: of the objects that are no files of tools.
        stats: DeltaGlider's numbers.
        computed_at: seconds since the epoch.
    """
    objects, size = others
    validation = {"object_count": objects + 1, "compressed_size": size, "fingerprint": fingerprint}
    document = {
        "version": _VERSION,
        "mode": mode,
        "computed_at": datetime.fromtimestamp(computed_at, UTC).isoformat(),
        "validation": validation,
        "stats": asdict(stats),
        _OURS: {"complete": True, "see": f".aios3sync/stats_{mode}.json"},
    }
    body = json.dumps(document, indent=2).encode()
    while validation["compressed_size"] != size + len(body):  # more digits make it longer, so this ends
        validation["compressed_size"] = size + len(body)
        body = json.dumps(document, indent=2).encode()
    return body


def decode_envelope(body: bytes, mode: Mode) -> Envelope:
    """Read an envelope as strictly as DeltaGlider does, and somewhat more.

    Raises:
        ValueError: it is no envelope, or one of another version or mode; the text says which.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        raise ValueError("it is of another version")
    if document.get("mode") != mode:
        raise ValueError("it is of another mode")
    validation, stats = document.get("validation"), document.get("stats")
    if not (isinstance(validation, dict) and isinstance(stats, dict)):
        raise ValueError("it has no validation or no stats")  # noqa: TRY004 - a document, no argument
    names = {field.name for field in fields(DeltaGliderStats)}
    if not names - {"object_limit_reached"} <= set(stats) <= names:
        raise ValueError("its stats are not those of version 1.0")
    facts = [validation.get("object_count"), validation.get("compressed_size")]
    numbers = [value for name, value in stats.items() if name not in ("bucket", "object_limit_reached")]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in facts + numbers):
        raise ValueError("its numbers are none")
    fingerprint = validation.get("fingerprint", "")
    return Envelope(
        str(document.get("computed_at", "")),
        int(validation["object_count"]),
        int(validation["compressed_size"]),
        fingerprint if isinstance(fingerprint, str) else "",
        DeltaGliderStats(**stats),
    )
