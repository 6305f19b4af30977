"""Continues a listing by marker where an endpoint responds to ListObjectsV2 with pages of ListObjects.

Old Ceph gateways, appliances and some small servers ignore ``list-type=2``: their truncated page has no
continuation token. The same page is then requested with ListObjects, and so are all later ones. That is
complete, because the first version of the API says where the next page begins: after ``NextMarker``, or
without one after the last name of the page. Everything else is an error, as for every listing that may be
incomplete (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aios3sync.errors import ListingError, StoreError
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import ListPage
from aios3sync.store.s3.deletes import is_not_implemented
from aios3sync.store.s3.markers import Marker

__all__ = ("NO_TOKEN", "MarkerPaging")

NO_TOKEN: Final = "NoContinuationToken"  # noqa: S105 - no password
"""The code of the ListingError for a page without a way to the next one."""
_LOG: Final = logging.getLogger(__name__)


class MarkerPaging:
    """Lists one bucket by token, until a page shows that the endpoint knows only markers.

    Args:
        profile: the profile of the endpoint, in which that is remembered.
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
        """Return a page; if it has no way to the next one, it is requested again by marker.

        Args:
            token: of the page.
            start_after: where the listing begins.
            by_token: requests the page with ListObjectsV2.
            by_marker: requests with ListObjects the page after a marker, which is exclusive like
                ``start_after``.

        Raises:
            ListingError: the listing may be incomplete.
            StoreError: the request failed.
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
    """Return the page by marker; if that is refused for good, raise the first error."""
    try:
        return await by_marker(marker)
    except StoreError as refusal:
        if refusal.retryable:
            raise
        raise error from refusal
