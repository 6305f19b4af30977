"""The server of the pages: one for all of them, with fresh buckets for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.worlds import buckets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aios3sync.testing import Endpoint


@pytest.fixture
def buckets(seaweedfs: Endpoint) -> Iterator[Endpoint]:
    """The server with the buckets of a reader."""
    yield from buckets_of(seaweedfs)
