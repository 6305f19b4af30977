"""ObservedClient: an S3 client of botocore that reports each ended request to an observer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from botocore.exceptions import ClientError

from aios3sync.store.boto.errors import code_of_failure
from aios3sync.store.observer import RESENDS, ObservedRequest, Observer

__all__ = ("ObservedClient",)


class ObservedClient:
    """Passes on every attribute of ``client``; its operations are observed.

    Args:
        client: an open aioboto3 S3 client.
        observer: takes the requests.
    """

    def __init__(self, client: Any, observer: Observer) -> None:
        self._client = client
        self._observer = observer

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        operation = self._client.meta.method_to_api_mapping.get(name)
        return found if operation is None else self._observed(operation, found)

    def _observed(self, operation: str, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(**parameters: Any) -> Any:
            began, status, cause = time.monotonic(), 0, ""
            try:
                answer = await send(**parameters)
                status = _status(answer)
            except ClientError as error:
                status = _status(error.response)
                raise
            except asyncio.CancelledError:
                cause = "Cancelled"
                raise
            except Exception as error:
                cause = code_of_failure(error, operation)
                raise
            finally:
                if status or cause:
                    place = (parameters.get("Bucket", ""), parameters.get("Key", ""))
                    took = time.monotonic() - began
                    self._observer.request(
                        ObservedRequest(operation, *place, status, cause, took, RESENDS.get())
                    )
            return answer

        return call


def _status(answer: Any) -> int:
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
