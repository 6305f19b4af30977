"""ObjectStoreContract: every promise of ObjectStore as a test, the same for all implementations.

A test module subclasses it, gives the fixtures ``store`` (an empty bucket), ``other`` (another one of the
same endpoint) and ``absent`` (a bucket that does not exist), and names the deviations of its endpoint::

    class TestMyStore(ObjectStoreContract):
        cannot_hold = {"a//b": "folds empty path parts"}

        @pytest.fixture
        def store(self): ...

        @pytest.fixture
        def other(self, store): ...

A named deviation is asserted, never skipped: when the endpoint is fixed, the test fails and says so.
"""

from __future__ import annotations

from aios3sync.testing.contract.base import Deviations
from aios3sync.testing.contract.keys import ODD_KEYS, KeyContract
from aios3sync.testing.contract.listings import ListingContract, VersionContract
from aios3sync.testing.contract.multipart import MultipartContract
from aios3sync.testing.contract.objects import DeleteContract, ObjectContract
from aios3sync.testing.contract.versions import VersionedContract

__all__ = ("ODD_KEYS", "Deviations", "ObjectStoreContract", "VersionedContract")


class ObjectStoreContract(
    ObjectContract, KeyContract, ListingContract, DeleteContract, MultipartContract, VersionContract
):
    """All parts of the contract together."""
