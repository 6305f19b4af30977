"""Continue a listing by marker where an endpoint answers ListObjectsV2 with the pages of ListObjects.

Old Ceph gateways, appliances and some small servers ignore ``list-type=2``: their truncated page has no
continuation token. The same page is then asked for with ListObjects, and so are all later ones. That is
complete, because the first version of the API says where the next page begins: after ``NextMarker``, and
where there is none, after the last name of the page. What does not follow from that is an error, as for every
listing whose end is not known to be its end (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from operator import lt
from typing import Final

from aios3sync.core.entries import TargetEntry
from aios3sync.errors import ListingError, StoreError
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import ListPage
from aios3sync.store.s3.deletes import is_not_implemented

__all__ = ("NO_TOKEN", "NO_WAY_ON", "Marker", "MarkerPaging", "NoTokenError", "next_marker")

NO_TOKEN: Final = "NoContinuationToken"  # noqa: S105 - no password
"""The code of the ListingError that a page raises which does not lead on."""
NO_WAY_ON: Final = "a truncated page does not say where the next one starts"
_LOG: Final = logging.getLogger(__name__)


class Marker(str):
    """A token of ours: the next page is the one of ListObjects after this name."""

    __slots__ = ()


class NoTokenError(ValueError):
    """A truncated page does not lead on."""

    def __init__(self) -> None:
        super().__init__(NO_WAY_ON)


def next_marker(
    entries: Sequence[TargetEntry], prefixes: Sequence[str], reported: str, marker: str
) -> Marker:
    """Return the marker of the page after a truncated one of ListObjects.

    Args:
        entries: the keys of the page.
        prefixes: its CommonPrefixes.
        reported: its ``NextMarker``, decoded; empty where it has none.
        marker: what the page was asked for with.

    Raises:
        NoTokenError: it is not known, or would be the same page again.
    """
    keys = [entry[0] for entry in entries]
    ascends = all(map(lt, keys, keys[1:])) and all(map(lt, prefixes, prefixes[1:]))
    last = max([*keys[-1:], *prefixes[-1:]], default="")
    # The last name is believed before NextMarker: there are servers that report the first name of the next
    # page, which a marker would leave out. A marker beyond all keys of the last prefix is as good.
    skips = last in prefixes[-1:] and reported.startswith(last)
    following = last if ascends and last and not skips else reported
    if not following or following == marker:
        raise NoTokenError
    return Marker(following)


class MarkerPaging:
    """Lists one bucket by token, until a page shows that the endpoint knows markers alone.

    Args:
        profile: what is known of the endpoint, where that is remembered.
    """

    def __init__(self, profile: EndpointProfile) -> None:
        self._profile = profile

    async def page(
        self,
        token: str | None,
        start_after: str,
        by_token: Callable[[], Awaitable[ListPage]],
        by_marker: Callable[[str], Awaitable[ListPage]],
    ) -> ListPage:
        """Get a page; one that does not lead on is asked for again by marker.

        Args:
            token: of the page.
            start_after: where the listing begins.
            by_token: asks for it with ListObjectsV2.
            by_marker: asks with ListObjects for the page after a marker, which is exclusive as
                ``start_after`` is.

        Raises:
            ListingError: the end of the listing is not known to be its end.
            StoreError: the page could not be had.
        """
        if isinstance(token, Marker):
            return await by_marker(token)
        if self._profile.list_v1 and token is None:
            try:
                return await by_marker(start_after)
            except StoreError as error:
                if not is_not_implemented(error):
                    raise
                self._profile.forget("list_v1")  # it was upgraded, and knows tokens alone
        try:
            return await by_token()
        except ListingError as error:
            # After a page that was had by token it is not known where to go on.
            if error.code != NO_TOKEN or token is not None:
                raise
            page = await _instead(by_marker, start_after, error)
        if not self._profile.list_v1:
            _LOG.info("the endpoint answers ListObjectsV2 as ListObjects; listing goes on by marker")
        self._profile.record("list_v1", True)
        return page


async def _instead(
    by_marker: Callable[[str], Awaitable[ListPage]], marker: str, error: ListingError
) -> ListPage:
    """Return the page by marker; where it is refused for good, raise what was wrong at first."""
    try:
        return await by_marker(marker)
    except StoreError as refusal:
        if refusal.retryable:
            raise
        raise error from refusal
