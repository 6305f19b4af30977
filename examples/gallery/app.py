"""A gallery of what is in a bucket: pages, folders, random picks and search, all from the object index.

S3 is asked for nothing but the pictures, which the browser loads itself through presigned URLs. Settings are
environment variables: GALLERY_INDEX is the URL of the index, GALLERY_BUCKET is needed where it holds several
buckets. Run it with ``uvicorn --app-dir examples/gallery app:app``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

import aios3sync
from aios3sync.core.wording import printable, size_text
from aios3sync.errors import UsageError
from aios3sync.index.images import is_image_name
from aios3sync.index.objects import ObjectIndex
from aios3sync.index.rows import ObjectRow
from aios3sync.index.thumbnails import THUMBNAIL_PREFIX

PER_PAGE = 24
ORDERS = {"key": "name", "uploaded_at": "newest", "size": "largest"}
EXPIRES_S = 3600

templates = Jinja2Templates(Path(__file__).parent)
templates.env.filters.update(printable=printable, size=size_text)


@dataclass(frozen=True)
class Card:
    """One object as the page shows it; ``picture`` is empty for what is no image."""

    row: ObjectRow
    url: str
    picture: str

    @property
    def name(self) -> str:
        """Its name without its folder."""
        return self.row.key.rpartition("/")[2]


async def cards(index: ObjectIndex, rows: Sequence[ObjectRow]) -> list[Card]:
    """Rows with presigned URLs: of the thumbnail where there is one, else of the image itself."""
    urls = await index.urls(rows, expires=EXPIRES_S)
    small = [row._replace(key=row.thumbnail) if row.thumbnail else row for row in rows]
    pictures = await index.urls(small, expires=EXPIRES_S)
    return [
        Card(row, url, picture if row.thumbnail or is_picture(row) else "")
        for row, url, picture in zip(rows, urls, pictures, strict=True)
    ]


def is_picture(row: ObjectRow) -> bool:
    """By its content type, or by its name where a listing told none."""
    return row.content_type.startswith("image/") if row.content_type else is_image_name(row.key)


async def show(request: Request, rows: Sequence[ObjectRow], **context: Any) -> Response:
    """The page around some rows; it may load pictures from where these are, and nothing else."""
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
        "total": await index.totals(folder, bucket=bucket),
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
        "Referrer-Policy": "no-referrer",  # the address of this page is nobody's business
    }
    return templates.TemplateResponse(request, "gallery.html", content, headers=headers)


async def browse(request: Request) -> Response:
    """One page of a folder, or of what is below it, by cursor."""
    query = request.query_params
    order: Any = query.get("order", "key")
    page = await request.app.state.index.page(
        query.get("folder", ""),
        bucket=request.app.state.bucket,
        order=order,
        desc=order != "key",
        limit=PER_PAGE,
        after=query.get("after") or None,
    )
    return await show(request, page.rows, order=order, next=page.next, heading="")


async def pick(request: Request) -> Response:
    """Random objects of a folder and of what is below it."""
    folder = request.query_params.get("folder", "")
    rows = await request.app.state.index.sample(PER_PAGE, folder, bucket=request.app.state.bucket)
    return await show(request, rows, heading="picked at random")


async def search(request: Request) -> Response:
    """Objects whose name contains a text."""
    query = request.query_params
    text = query.get("text", "")
    if not text:
        return await browse(request)
    page = await request.app.state.index.search(
        text,
        query.get("folder", ""),
        bucket=request.app.state.bucket,
        limit=PER_PAGE,
        after=query.get("after") or None,
    )
    return await show(request, page.rows, text=text, next=page.next, heading=f"named …{text}…")


async def style(request: Request) -> Response:
    """The style sheet."""
    return Response(request.app.state.style, media_type="text/css")


async def refuse(_: Request, error: Exception) -> Response:
    """A question that cannot be one: a cursor of another page, an order that is none."""
    return Response(f"{error}\n", 400, media_type="text/plain")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """One session and one index for all requests."""
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
