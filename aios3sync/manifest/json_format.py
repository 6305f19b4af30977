"""The JSON document of a manifest, in the format that predates this package. Pure.

::

    {"version": "1.0", "last_sync": "2026-02-06T14:30:00Z",
     "files": {"key": {"local_path": "...", "size": 1, "md5": "...", "uploaded_at": "..."}}}

Our own fields are added to these and are optional, so that older files can be read, and older readers can
read ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from aios3sync.core.entries import RecordedEntry
from aios3sync.core.numbers import to_json
from aios3sync.errors import ManifestError
from aios3sync.manifest.protocol import Binding, ManifestState

__all__ = (
    "VERSION",
    "dump_document",
    "kept_by_stat",
    "load_document",
)

VERSION: Final = "1.0"


def load_document(content: bytes) -> tuple[dict[str, RecordedEntry], ManifestState, Binding | None]:
    """Read a document.

    Raises:
        ValueError: it is no manifest, or of another version; the message says why.
    """
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("files"), dict):
        raise ValueError("it has no 'files'")  # noqa: TRY004 - what the file holds is a value
    if document.get("version") != VERSION:
        raise ValueError(f"it has version {document.get('version')!r}, this package reads {VERSION!r}")
    try:
        rows = {key: _row(key, item) for key, item in document["files"].items()}
        target = document.get("target")
        binding = Binding(**target) if target else None
        state = _state(document, bound=binding is not None)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"it has an entry that cannot be read: {error}") from error
    return rows, state, binding


def _row(key: str, item: Mapping[str, Any]) -> RecordedEntry:
    return RecordedEntry(
        key=key,
        size=int(item["size"]),
        mtime_ns=int(item.get("mtime_ns", -1)),
        ctime_ns=int(item.get("ctime_ns", -1)),
        inode=int(item.get("inode", -1)),
        md5=str(item.get("md5") or ""),
        etag=str(item.get("etag") or ""),
        part_size=int(item.get("part_size", 0)),
        encoding=str(item.get("encoding") or ""),
        settled=bool(item.get("settled", True)),
        uploaded_at=_seconds(item.get("uploaded_at")),
        headers=str(item.get("headers") or ""),
        sha256=str(item.get("sha256") or ""),
    )


def _state(document: Mapping[str, Any], *, bound: bool) -> ManifestState:
    return ManifestState(
        complete=bound and bool(document.get("complete", False)),
        listed_at=_seconds(document.get("listed_at")),
        last_sync=_seconds(document.get("last_sync")),
        run=int(document.get("run", 0)),
        device=int(document.get("device", -1)),
        mounts=tuple(document.get("mounts", ())),
        order=str(document.get("order", "")),
        opaque_etags=bool(document.get("opaque_etags", False)),
        listings=tuple((str(scope), _seconds(when)) for scope, when in document.get("listings", ())),
        receipts=tuple(map(str, document.get("receipts", ()))),
    )


def dump_document(
    rows: Mapping[str, RecordedEntry], state: ManifestState, binding: Binding | None, root: str
) -> bytes:
    """Write a document; ``root`` is the source directory, for ``local_path``."""
    document: dict[str, Any] = {"version": VERSION, "last_sync": _timestamp(state.last_sync)}
    if binding is not None:
        document["target"] = {
            "source": binding.source,
            "endpoint": binding.endpoint,
            "bucket": binding.bucket,
            "prefix": binding.prefix,
        }
    document |= {
        "listed_at": _timestamp(state.listed_at),
        "complete": state.complete,
        "run": state.run,
        "device": state.device,
        "mounts": list(state.mounts),
        "order": state.order,
        "opaque_etags": state.opaque_etags,
        "listings": [[scope, _timestamp(when)] for scope, when in state.listings],
        "receipts": list(state.receipts),
        "files": {key: _item(rows[key], root) for key in sorted(rows)},
    }
    try:
        return orjson.dumps(document, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError as error:
        raise ManifestError(f"the manifest cannot be written as JSON: {error}") from error


def _item(row: RecordedEntry, root: str) -> dict[str, Any]:
    item = {
        "local_path": f"{root}/{row.key}",
        "size": to_json(row.size),
        "md5": row.md5,
        "uploaded_at": _timestamp(row.uploaded_at),
        "mtime_ns": to_json(row.mtime_ns),
        "ctime_ns": to_json(row.ctime_ns),
        "inode": to_json(row.inode),
        "etag": row.etag,
        "part_size": row.part_size,
        "encoding": row.encoding,
        "settled": bool(row.settled),
    }
    rare = {"headers": row.headers, "sha256": row.sha256}
    return item | {name: value for name, value in rare.items() if value}


def kept_by_stat(row: RecordedEntry, headers: tuple[str, str] | None) -> bool:
    """Return whether an equal stat is enough to keep the object of a row."""
    known = headers is None or row.headers in headers
    return bool(row.settled and known and not row.encoding)


def _timestamp(seconds: float) -> str | None:
    if not seconds:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):  # the clock is beyond the year 9999
        return None


def _seconds(text: object) -> float:
    """Return the seconds since the epoch of an ISO time; one without a zone is UTC."""
    if not isinstance(text, str) or not text:
        return 0.0
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
