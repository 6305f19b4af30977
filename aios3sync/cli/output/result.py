"""CommandResult: the result of a command of the index or the catalog, as a document and as lines."""

from __future__ import annotations

from typing import Any

from aios3sync._dataclass import dataclass
from aios3sync.cli.output.summary import Conclusion

__all__ = ("CommandResult",)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command.

    Attributes:
        document: printed with ``--json``.
        conclusion: printed as text.
        exit_code: of the command.
    """

    document: dict[str, Any]
    conclusion: Conclusion
    exit_code: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON document of ``--json``."""
        return self.document
