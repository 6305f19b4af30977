"""InventoryPlace: where the inventories of a bucket are, as an option names it. Pure."""

from __future__ import annotations

from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Final
from aios3sync.core.keys import parse_address
from aios3sync.errors import UsageError

__all__ = ("InventoryPlace",)

_SCHEME: Final = "inventory:s3://"


class InventoryPlace(NamedTuple):
    """A bucket, and in it the prefix of an inventory's configuration or the key of a ``manifest.json``."""

    bucket: str
    path: str

    @classmethod
    def parse(cls, name: str, text: str) -> InventoryPlace:
        """Read ``inventory:s3://bucket/path``.

        Args:
            name: of the option, for the error.
            text: its value.

        Raises:
            UsageError: it names no place of inventories.
        """
        if not text.startswith(_SCHEME):
            raise UsageError(
                f"{name}: {text!r} names no inventory; write inventory:s3://BUCKET/PREFIX, the prefix of its "
                "configuration or the key of a manifest.json"
            )
        try:
            return cls(*parse_address(text.removeprefix("inventory:")))
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
