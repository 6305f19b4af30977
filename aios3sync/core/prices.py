"""What requests cost, and which storage classes bill more than is stored. Pure.

The prices are those of AWS in us-east-1, in USD for 1,000 requests: https://aws.amazon.com/s3/pricing/; the
minima are those of https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html. Other
regions and other endpoints have their own, which the user gives.
"""

from __future__ import annotations

from math import inf
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.errors import UsageError

__all__ = ("Minimum", "Prices", "minimum_of", "prices_of", "read_prices")


class Prices(NamedTuple):
    """Prices of 1,000 requests.

    Attributes:
        writes: PUT, COPY, POST and LIST.
        reads: GET and HEAD.
        currency: their unit.
    """

    writes: float
    reads: float
    currency: str = "USD"

    def cost(self, writes: int, reads: int) -> float:
        """Return what so many requests cost."""
        return (writes * self.writes + reads * self.reads) / 1000


class Minimum(NamedTuple):
    """What an object of a storage class is billed for at least.

    Attributes:
        size: bytes; 0 where the size counts as it is.
        days: it is billed for so long, also if it is deleted before.
    """

    size: int
    days: int


_STANDARD: Final = Prices(0.005, 0.0004)
_PRICES: Final = {
    "STANDARD_IA": Prices(0.01, 0.001),
    "ONEZONE_IA": Prices(0.01, 0.001),
    "GLACIER_IR": Prices(0.02, 0.01),
    "GLACIER": Prices(0.03, 0.0004),
    "DEEP_ARCHIVE": Prices(0.05, 0.0004),
}
_MINIMA: Final = {
    "STANDARD_IA": Minimum(128 * 1024, 30),
    "ONEZONE_IA": Minimum(128 * 1024, 30),
    "GLACIER_IR": Minimum(128 * 1024, 90),
    "GLACIER": Minimum(0, 90),
    "DEEP_ARCHIVE": Minimum(0, 180),
}


def prices_of(storage_class: str) -> Prices:
    """Return the prices of AWS for a storage class; empty is STANDARD."""
    return _PRICES.get(storage_class, _STANDARD)


def minimum_of(storage_class: str) -> Minimum | None:
    """Return what objects of a storage class are billed for at least, if there is such a rule."""
    return _MINIMA.get(storage_class)


def read_prices(text: str) -> Prices:
    """Read prices of 1,000 requests as they are given: ``writes=0.0054,reads=0.00043,currency=EUR``.

    Raises:
        UsageError: the text is something else.
    """
    given = dict(part.strip().partition("=")[::2] for part in text.split(",") if part.strip())
    currency = given.pop("currency", "USD")
    try:
        prices = Prices(float(given.pop("writes")), float(given.pop("reads")), currency)
    except (KeyError, ValueError):
        prices = None
    if prices is None or given or not all(0 <= price < inf for price in prices[:2]):
        raise UsageError(
            f"prices: {text!r} is not of the form writes=0.005,reads=0.0004,currency=USD (of 1,000 requests)"
        )
    return prices
