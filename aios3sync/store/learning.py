"""LearningStore: learns from answers what its endpoint lacks, and does without it from then on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from aios3sync.endpoint_profile import EndpointProfile
from aios3sync.errors import StoreError
from aios3sync.store.deleting import delete_each, is_not_implemented
from aios3sync.store.forwarding import ForwardingStore
from aios3sync.store.protocol import DeleteError, DeleteItem, ObjectStore

__all__ = ("LearningStore",)

_LOG: Final = logging.getLogger(__name__)


class LearningStore(ForwardingStore):
    """Asks ``inner`` as S3 documents it, and otherwise where ``profile`` knows better.

    It is placed below the retries and above the limit: what it asks in the place of one request are requests
    of their own, each with its slot, and what fails for the moment is tried again by whom it is told to.

    Args:
        inner: the store to ask.
        profile: what is known of the endpoint; changed by what is learnt.
    """

    def __init__(self, inner: ObjectStore, profile: EndpointProfile) -> None:
        super().__init__(inner)
        self._profile = profile

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Delete with DeleteObjects, and with one DeleteObject for each key where there is none."""
        if self._profile.batch_delete:
            try:
                return await self.inner.delete_many(items)
            except StoreError as error:
                if not is_not_implemented(error):
                    raise
                self._learn("batch_delete", False)
        return await delete_each(self.inner, items)

    def _learn(self, fact: str, value: object) -> None:
        self._profile.learn(fact, value)
        _LOG.info("%s: %s", self._profile.endpoint, "; ".join(self._profile.described()))
