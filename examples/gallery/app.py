"""A gallery of what is in a bucket: pages, folders, random picks and search, all from the object index.

The only requests to S3 are those for the pictures, which the browser loads itself through presigned URLs.
Settings are environment variables: GALLERY_INDEX is the URL of the index, GALLERY_BUCKET is needed where it
holds several buckets. Run it with ``uvicorn --app-dir examples/gallery app:app``.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

import aios3sync
from aios3sync import UsageError
from aios3sync.images import THUMBNAIL_PREFIX, is_image_name
from aios3sync.index import ObjectIndex, ObjectRow, Page, Totals

PER_PAGE = 24
MOST_ROWS = 10_000  # that an index returns at once
ORDERS = {"key": "name", "uploaded_at": "newest", "size": "largest"}
EXPIRES_S = 3600


def printable(text: str) -> str:
    """Return text without characters that would change the page around it; a key may have any."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def size_text(size: float) -> str:
    """Return a readable size: ``3.4 MB``; powers of 1000."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:,.{0 if units[0] == 'bytes' or size >= 100 else 1}f} {units[0]}"


templates = Jinja2Templates(Path(__file__).parent)
templates.env.filters.update(printable=printable, size=size_text)


@dataclass(frozen=True)
class Card:
    """One object as the page shows it; ``picture`` is empty if it is no image."""

    row: ObjectRow
    url: str
    picture: str

    @property
    def name(self) -> str:
        """The name without the folder."""
        return self.row.key.rpartition("/")[2]


async def cards(index: ObjectIndex, rows: Sequence[ObjectRow]) -> list[Card]:
    """Return rows with presigned URLs: of the thumbnail where there is one, else of the image itself."""
    urls = await index.urls(rows, expires=EXPIRES_S)
    small = [row._replace(key=row.thumbnail) if row.thumbnail else row for row in rows]
    pictures = await index.urls(small, expires=EXPIRES_S)
    return [
        Card(row, url, picture if row.thumbnail or is_picture(row) else "")
        for row, url, picture in zip(rows, urls, pictures, strict=True)
    ]


def is_picture(row: ObjectRow) -> bool:
    """Return whether a row is an image, by its content type, or by its name if that is not known."""
    return row.content_type.startswith("image/") if row.content_type else is_image_name(row.key)


def is_shown(row: ObjectRow, folder: str) -> bool:
    """Return whether a row is shown: thumbnails only in their own folder."""
    return folder.startswith(THUMBNAIL_PREFIX) or not row.key.startswith(THUMBNAIL_PREFIX)


async def shown_page(
    fetch: Callable[..., Awaitable[Page]], folder: str, after: str | None
) -> tuple[list[ObjectRow], str | None]:
    """Return the next rows to show and the next cursor; thumbnails are skipped in ever larger steps."""
    shown: list[ObjectRow] = []
    limit = PER_PAGE
    while True:
        page = await fetch(limit=limit, after=after)
        places = [place for place, row in enumerate(page.rows) if is_shown(row, folder)]
        missing = PER_PAGE - len(shown)
        if len(places) > missing:
            # Read a shorter page, so that the next one begins after the last row that is shown.
            page = await fetch(limit=places[missing - 1] + 1, after=after)
        shown += [row for row in page.rows if is_shown(row, folder)]
        after = page.next
        if after is None or len(shown) >= PER_PAGE:
            return shown, after
        limit = min(MOST_ROWS, limit * 8)


async def totals(index: ObjectIndex, folder: str, bucket: str) -> Totals:
    """Return the totals below a folder, without the thumbnails of the bucket."""
    total = await index.totals(folder, bucket=bucket)
    if folder:
        return total
    small = await index.totals(THUMBNAIL_PREFIX, bucket=bucket)
    return Totals(total.objects - small.objects, total.size - small.size, total.exact and small.exact)


async def show(request: Request, rows: Sequence[ObjectRow], **context: Any) -> Response:
    """Return the page with some rows; its policy allows pictures from the hosts of these alone."""
    index: ObjectIndex = request.app.state.index
    bucket: str = request.app.state.bucket
    folder = request.query_params.get("folder", "")
    shown = await cards(index, rows)
    hosts = {f"{urlsplit(card.url).scheme}://{urlsplit(card.url).netloc}" for card in shown}
    below = await index.folders(folder, bucket=bucket)
    parts = folder.split("/")[:-1]
    content = {
        "cards": shown,
        "folder": folder,
        "folders": [one for one in below if one.path != THUMBNAIL_PREFIX],
        "trail": [(name, "/".join(parts[: depth + 1]) + "/") for depth, name in enumerate(parts)],
        "total": await totals(index, folder, bucket),
        "orders": ORDERS,
        "order": "key",
        "text": "",
        "next": None,
        "link": lambda path="/", **query: f"{path}?{urlencode({k: v for k, v in query.items() if v})}",
        **context,
    }
    pictures = " ".join(sorted(hosts)) or "'none'"
    policy = f"default-src 'none'; style-src 'self'; img-src {pictures}; form-action 'self'; base-uri 'none'"
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",  # S3 need not know the address of this page
    }
    return templates.TemplateResponse(request, "gallery.html", content, headers=headers)


async def browse(request: Request) -> Response:
    """Return one page of a folder and all below it, by cursor."""
    query = request.query_params
    folder, order = query.get("folder", ""), query.get("order", "key")
    fetch = partial(
        request.app.state.index.page,
        folder,
        bucket=request.app.state.bucket,
        order=order,
        desc=order != "key",
    )
    rows, after = await shown_page(fetch, folder, query.get("after") or None)
    return await show(request, rows, order=order, next=after, heading="")


async def pick(request: Request) -> Response:
    """Return random objects of a folder and all below it."""
    folder = request.query_params.get("folder", "")
    # A picture may have several thumbnails; a sample without them is still uniform.
    drawn = await request.app.state.index.sample(8 * PER_PAGE, folder, bucket=request.app.state.bucket)
    rows = [row for row in drawn if is_shown(row, folder)]
    picked = random.sample(rows, min(PER_PAGE, len(rows)))
    return await show(request, picked, heading="picked at random")


async def search(request: Request) -> Response:
    """Return objects whose name contains a text."""
    query = request.query_params
    folder, text = query.get("folder", ""), query.get("text", "")
    if not text:
        return await browse(request)
    fetch = partial(request.app.state.index.search, text, folder, bucket=request.app.state.bucket)
    rows, after = await shown_page(fetch, folder, query.get("after") or None)
    return await show(request, rows, text=text, next=after, heading=f"with …{text}… in their name")


async def style(request: Request) -> Response:
    """Return the style sheet."""
    return Response(request.app.state.style, media_type="text/css")


async def refuse(_: Request, error: Exception) -> Response:
    """Return the error of an invalid request: a cursor of another page, an unknown order."""
    return Response(f"{error}\n", 400, media_type="text/plain")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open one session and one index for all requests."""
    url = os.environ.get("GALLERY_INDEX", "sqlite:///gallery.db")
    app.state.bucket = os.environ.get("GALLERY_BUCKET", "")
    async with aios3sync.connect() as s3, s3.index(url) as index:
        app.state.index = index
        yield


app = Starlette(
    routes=[
        Route("/", browse),
        Route("/random", pick),
        Route("/search", search),
        Route("/gallery.css", style),
    ],
    lifespan=lifespan,
    exception_handlers={UsageError: refuse},
)
app.state.style = (Path(__file__).parent / "gallery.css").read_text("utf-8")
