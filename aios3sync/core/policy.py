"""What decisions depend on: the options of a run that bear on single keys. Pure values."""

from __future__ import annotations

from aios3sync._dataclass import dataclass, field
from aios3sync._typing import TYPE_CHECKING, Final, Literal
from aios3sync.core.safety import Protection

if TYPE_CHECKING:
    from collections.abc import Callable

    from aios3sync.core.entries import RecordedEntry

__all__ = ("STAT_FIELDS", "DeleteMode", "Policy", "WantedHeaders")

DeleteMode = Literal["off", "tracked", "mirror"]

STAT_FIELDS: Final = ("size", "mtime", "ctime", "inode")
"""The fields of a stat, in the order in which entries hold them (after the key)."""


@dataclass(frozen=True, slots=True)
class WantedHeaders:
    """The headers that objects should have, as short digests, see :attr:`RecordedEntry.headers`.

    Attributes:
        digest_of: the digest of the headers that are asked for a key.
        uniform: the digest that all keys share, ``None`` where it depends on the key.
        unrecorded: an object whose headers are not recorded is taken to have others. Otherwise such an object
            is left as it is; else every object of an older version would be written again for nothing.
        copy: other headers are written by a copy on the server, not by an upload.
    """

    digest_of: Callable[[str], str]
    uniform: str | None = None
    unrecorded: bool = False
    copy: bool = True

    @property
    def satisfied_by(self) -> tuple[str, str] | None:
        """The digests of rows that need no new headers; ``None`` where they depend on the key."""
        if self.uniform is None:
            return None
        return (self.uniform, self.uniform if self.unrecorded else "")

    def differ(self, recorded: RecordedEntry) -> bool:
        """Return whether the object of a row has other headers than are asked for now."""
        if not recorded.headers:
            return self.unrecorded
        return recorded.headers != (self.uniform or self.digest_of(recorded.key))


@dataclass(frozen=True, slots=True)
class Policy:
    """The options that a decision depends on.

    Attributes:
        delete: what may be deleted.
        content: every file was asked to be hashed (``check="content"``).
        accept_content: upload a file that changed without its stat, instead of reporting a conflict.
        incremental: False uploads everything.
        stat_fields: which of STAT_FIELDS make "the same stat".
        gzip: lower-case extensions without dot whose files are stored compressed.
        opaque_etags: ETags that differ prove nothing, because of the bucket's encryption or the endpoint.
        protection: what is never deleted.
        headers: the headers that unchanged objects should have, ``None`` where they are not compared.
        overwrite: a download replaces files that hold changes of their own, instead of reporting a conflict.
    """

    delete: DeleteMode = "off"
    content: bool = False
    accept_content: bool = False
    incremental: bool = True
    stat_fields: tuple[str, ...] = STAT_FIELDS
    gzip: frozenset[str] = frozenset()
    opaque_etags: bool = False
    protection: Protection = field(default_factory=Protection)
    headers: WantedHeaders | None = None
    overwrite: bool = False

    @property
    def stat_decides(self) -> bool:
        """Whether :meth:`Manifest.stats_after` is enough to decide where nothing was listed."""
        plain = self.incremental and not self.content and not self.gzip
        uniform = self.headers is None or self.headers.uniform is not None
        return plain and uniform and self.stat_fields == STAT_FIELDS

    def encoding(self, key: str) -> str:
        """Return the content encoding that an upload of ``key`` gets: ``gzip`` or empty."""
        if not self.gzip:
            return ""
        _, dot, extension = key.rpartition("/")[2].rpartition(".")
        return "gzip" if dot and extension.lower() in self.gzip else ""
