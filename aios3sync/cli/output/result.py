"""CommandResult: what a command of the index or the catalog answers, as a document and as lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aios3sync.cli.output.summary import Conclusion

__all__ = ("CommandResult",)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """One answer, as a document and as lines."""

    document: dict[str, Any]
    conclusion: Conclusion
    exit_code: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The document of ``--json``."""
        return self.document
