"""Thumbnails: their pixels, and that they follow their images whatever happens to a run."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import boto3
import pytest
from anyio import to_thread
from PIL import Image

from aios3sync.concurrency import Stop
from aios3sync.core.entries import RecordedEntry
from aios3sync.errors import UsageError
from aios3sync.events import Adopted, Deleted, Finished, Kept, Uploaded, Warned
from aios3sync.images import scale as scaling
from aios3sync.images import thumbnails
from aios3sync.images.pending import PendingError, PendingThumbnails, Task, Todo
from aios3sync.images.scale import ImageChangedError, UnscalableError, scaled
from aios3sync.images.thumbnails import ThumbnailPlan, ThumbnailReport, making_thumbnails
from aios3sync.index.rows import Change, ObjectIndexError, ObjectRow, Removal, Upsert
from aios3sync.session import connect
from aios3sync.store.protocol import DeleteError, PutOptions
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore

if TYPE_CHECKING:
    from aios3sync.store.protocol import ObjectStore
    from aios3sync.testing.servers import Endpoint

RED, GREEN = (220, 20, 20), (20, 200, 20)


def draw(path: Path, size: tuple[int, int] = (400, 200), mode: str = "RGB", **options: Any) -> Path:
    """Red on the left, green on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, (size[0] // 2, 0, *size))
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode in ("RGBA", "LA"):
        image.putalpha(128)
    image.convert(mode).save(path, **options)
    return path


def shown(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


def near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 50 for a, b in zip(pixel[:3], colour, strict=True))


# One thumbnail


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.bmp", "a.tif", "a.webp", "a.avif", "a.jp2"])
def test_each_format_keeps_its_proportions_and_colours(tmp_path: Path, name: str) -> None:
    content, width, height = scaled(str(draw(tmp_path / name)), 100)
    image = shown(content)
    assert (width, height) == (400, 200)
    assert (image.format, image.size) == ("WEBP", (100, 50))
    assert near(image.convert("RGB").getpixel((10, 25)), RED)
    assert near(image.convert("RGB").getpixel((90, 25)), GREEN)


@pytest.mark.parametrize(
    ("mode", "name", "alpha"),
    [
        *(("L", "a.jpg", False), ("CMYK", "a.jpg", False), ("P", "a.png", False), ("1", "a.png", False)),
        *(("RGBA", "a.png", True), ("LA", "a.png", True), ("I;16", "a.png", False), ("P", "a.gif", False)),
    ],
)
def test_each_kind_of_pixel(tmp_path: Path, mode: str, name: str, alpha: bool) -> None:
    path = tmp_path / name
    if mode == "I;16":
        Image.new("I;16", (300, 100), 0x8080).save(path)
    else:
        draw(path, (300, 100), mode)
    image = shown(scaled(str(path), 64).content)
    assert image.size == (64, 21)
    assert (image.mode == "RGBA") == alpha
    if mode == "I;16":
        assert near(image.convert("RGB").getpixel((5, 5)), (128, 128, 128)), "scaled, not cut off"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_it_is_rotated_as_exif_says_and_has_no_other_metadata(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera stood on its right side: turn by a quarter, clockwise
    exif[0x010F] = "a camera"
    content, width, height = scaled(str(draw(tmp_path / name, exif=exif)), 100)
    image = shown(content)
    assert (width, height) == (200, 400)
    assert image.size == (50, 100)
    assert near(image.convert("RGB").getpixel((25, 10)), RED)
    assert near(image.convert("RGB").getpixel((25, 90)), GREEN)
    assert not image.getexif()
    assert b"camera" not in content


def test_a_small_image_is_not_enlarged(tmp_path: Path) -> None:
    assert shown(scaled(str(draw(tmp_path / "a.png", (30, 20))), 256).content).size == (30, 20)


def test_a_colour_profile_is_kept_if_it_is_small(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = draw(tmp_path / "a.jpg", icc_profile=profile)
    assert shown(scaled(str(path), 64).content).info["icc_profile"] == profile
    path = draw(tmp_path / "b.jpg", icc_profile=profile + bytes(20_000))
    assert "icc_profile" not in shown(scaled(str(path), 64).content).info


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_a_decompression_bomb_is_not_decoded(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "_MOST_PIXELS", 79_999)
    monkeypatch.setattr(scaling, "_MOST_JPEG_PIXELS", 79_999)
    with pytest.raises(UnscalableError, match=r"too large \(400x200 pixels"):
        scaled(str(draw(tmp_path / name)), 64)


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(100), b"RIFF\0\0\0\0WEBPVP8X"]
)
def test_files_that_are_no_images(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UnscalableError, match="broken, or no image"):
        scaled(str(path), 64)


def test_a_cut_image_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.effect_noise((300, 300), 80).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UnscalableError):
        scaled(str(path), 64)


def test_a_file_that_has_changed_is_left_to_the_next_run(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png")
    stat = path.stat()
    scaled(str(path), 64, (stat.st_size, stat.st_mtime_ns))
    with pytest.raises(ImageChangedError):
        scaled(str(path), 64, (stat.st_size, stat.st_mtime_ns + 1))


# The list of what is to be done


def test_of_several_tasks_for_a_key_the_last_one_counts(tmp_path: Path) -> None:
    path = str(tmp_path / "state" / "x.thumbnails")
    pending = PendingThumbnails(path)
    pending.add([Task("a", Todo.MAKE, 1, 2, 3, "e"), Task("b", Todo.MAKE)])
    first = pending.after(0, 10)
    pending.add([Task("a", Todo.REMOVE)])
    pending.done(first)
    (left,) = pending.after(0, 10)
    assert (left.key, left.todo) == ("a", Todo.REMOVE)
    pending.close()
    again = PendingThumbnails(path)
    assert [each.key for each in again.after(0, 10)] == ["a"]
    again.done(again.after(0, 10))
    again.add([Task("c", Todo.MAKE)])
    assert again.after(left.number, 10)[0].key == "c", "numbers never come again"
    assert oct(os.stat(tmp_path / "state").st_mode)[-3:] == "700"
    again.close()


def test_a_list_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5000)
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(PendingError, match="list of thumbnails"):
            PendingThumbnails(str(path))


# The sink


class World:
    """Images on disk, a bucket, and the outcomes of a sync."""

    def __init__(self, root: Path, inner: ObjectStore | None = None) -> None:
        self.root = root / "src"
        self.root.mkdir()
        self.bucket = MemoryStore()
        self.store = FaultyStore(inner or self.bucket)
        self.warnings: list[str] = []
        self.changes: list[Change] = []
        self.pending = str(root / "pending")

    def image(self, key: str, **options: Any) -> RecordedEntry:
        return self.row(draw(self.root / key, **options))

    def row(self, path: Path) -> RecordedEntry:
        stat = path.stat()
        key = str(path.relative_to(self.root))
        return RecordedEntry(
            key, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, "md5", "etag"
        )

    def plan(self, **more: Any) -> ThumbnailPlan:
        async def opened() -> ObjectStore:
            return self.store

        async def record(changes: Sequence[Change]) -> None:
            self.changes += changes

        facts: dict[str, Any] = {
            "side": 64,
            "open_store": opened,
            "locate": lambda key: f"{self.root}/{key}",
            "prefix": "site/",
            "pending": self.pending,
            "record": record,
            "warn": self.warnings.append,
        }
        return ThumbnailPlan(**(facts | more))

    async def make(self, *outcomes: Any, stop: Stop | None = None, **more: Any) -> ThumbnailReport:
        async with making_thumbnails(self.plan(**more), stop) as sink:
            await sink.outcomes(outcomes)
        return sink.report

    @property
    def keys(self) -> list[str]:
        return sorted(self.bucket.objects)

    def upserted(self) -> list[ObjectRow]:
        return [change.row for change in self.changes if isinstance(change, Upsert)]

    def removed(self) -> list[str]:
        return [change.key for change in self.changes if isinstance(change, Removal)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def uploaded(row: RecordedEntry) -> Uploaded:
    return Uploaded(row, row.size, "new")


async def test_uploaded_images_get_thumbnails_and_nothing_else_does(world: World) -> None:
    row = world.image("photos/a b+é.jpg")
    (world.root / "text.txt").write_text("x")
    others = [uploaded(world.row(world.root / "text.txt")), Kept("photos/kept.jpg"), Deleted("text.md", 1)]
    report = await world.make(uploaded(row), *others)
    key = ".thumbnails/64/site/photos/a b+é.jpg.webp"
    assert world.keys == [key]
    assert world.bucket.objects[key].options.content_type == ""
    assert shown(world.bucket.objects[key].body).size == (64, 32)
    image, thumbnail = world.upserted()
    assert image == ObjectRow("site/photos/a b+é.jpg", row.size, "etag", width=400, height=200, thumbnail=key)
    stored = world.bucket.objects[key]
    assert (thumbnail.key, thumbnail.size, thumbnail.etag) == (key, len(stored.body), stored.etag)
    assert time.time() - 60 < thumbnail.uploaded_at <= time.time()
    assert (report.made, report.left, report.warnings()) == (1, 0, [])
    assert world.warnings == []


async def test_the_headers_of_the_plan_go_along(world: World) -> None:
    options = PutOptions(content_type="image/webp", acl="public-read")
    await world.make(uploaded(world.image("a.jpg")), put=options)
    assert world.bucket.objects[world.keys[0]].options == options


async def test_the_thumbnail_of_a_deleted_image_goes_with_it(world: World) -> None:
    await world.make(*(uploaded(world.image(name)) for name in ("a.jpg", "b.jpg", "c.jpg")))
    report = await world.make(Deleted("a.jpg", 1), Deleted("never.jpg", 1), Deleted("c.jpg", 1))
    assert world.keys == [".thumbnails/64/site/b.jpg.webp"]
    assert report.removed == 3, "one that was not there counts as removed"
    assert world.removed() == [f".thumbnails/64/site/{name}.jpg.webp" for name in ("a", "never", "c")]
    assert world.store.calls["delete_many"] == 1


async def test_an_image_that_no_thumbnail_can_be_made_of_any_more_loses_its_old_one(world: World) -> None:
    await world.make(uploaded(world.image("a.jpg")))
    (world.root / "a.jpg").write_bytes(b"no image")
    report = await world.make(uploaded(world.row(world.root / "a.jpg")))
    assert world.keys == []
    assert (report.unscalable, report.left) == (1, 0)
    assert report.warnings() == [
        "1 image has no thumbnail, the first: a.jpg: it is broken, or no image of a format that can be read"
    ]


async def test_an_adopted_image_gets_one_if_it_has_none(world: World) -> None:
    rows = [world.image(name) for name in ("a.jpg", "b.jpg")]
    await world.make(uploaded(rows[0]))
    report = await world.make(*(Adopted(row) for row in rows))
    assert (report.existing, report.made) == (1, 1)
    assert len(world.keys) == 2
    (key, _), *_ = made = [(row.key, row.etag) for row in world.upserted()[:2]][::-1]
    there = [row for row in world.upserted()[2:] if row.key == key or row.thumbnail == key]
    assert [(row.key, row.etag) for row in there[::-1]] == made, "an existing one is reported as well"
    assert there[0].last_modified == 0 < there[1].last_modified


async def test_images_that_are_gone_or_changed_are_left_to_the_next_run(world: World) -> None:
    gone, changed = world.image("gone.jpg"), world.image("changed.jpg")
    (world.root / "gone.jpg").unlink()
    report = await world.make(uploaded(gone), uploaded(changed._replace(mtime_ns=1)))
    assert world.keys == []
    assert (report.unscalable, report.left) == (0, 0)


async def test_thousands_are_made_with_few_in_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    row = world.image("a.png", size=(8, 8))
    for number in range(300):
        os.link(world.root / "a.png", world.root / f"{number}.png")
    most = now = 0

    def watched(path: str, side: int, stat: tuple[int, int]) -> Any:
        nonlocal most, now
        now += 1
        most = max(most, now)
        try:
            return scaled(path, side, stat)
        finally:
            now -= 1

    monkeypatch.setattr(thumbnails, "scaled", watched)
    report = await world.make(*(uploaded(row._replace(key=f"{number}.png")) for number in range(300)))
    assert report.made == len(world.keys) == 300
    assert most <= 4


# Faults


async def test_what_could_not_be_stored_is_stored_by_the_next_run(world: World) -> None:
    rows = [world.image(f"{number}.jpg") for number in range(3)]
    world.store.on("put", key=".thumbnails/64/site/1.jpg.webp", error=unavailable())
    report = await world.make(*map(uploaded, rows))
    assert (report.made, report.left) == (2, 1)
    assert report.warnings() == ["thumbnails left for the next run with --thumbnails: 1"]
    assert len(world.warnings) == 1
    report = await world.make()
    assert (report.made, report.left) == (1, 0)
    assert len(world.keys) == 3


async def test_what_could_not_be_removed_is_removed_by_the_next_run(world: World) -> None:
    await world.make(uploaded(world.image("a.jpg")), uploaded(world.image("b.jpg")))
    stays = DeleteError(".thumbnails/64/site/a.jpg.webp", "AccessDenied", "no", retryable=False)
    world.store.on("delete_many", delete_errors=[stays])
    report = await world.make(Deleted("a.jpg", 1), Deleted("b.jpg", 1))
    assert (report.removed, report.left) == (1, 1)
    await world.make()
    assert world.keys == []


async def test_an_endpoint_that_refuses_everything_ends_the_attempts(world: World) -> None:
    row = world.image("a.png", size=(8, 8))
    for number in range(200):
        os.link(world.root / "a.png", world.root / f"{number}.png")
    world.store.on("put", times=-1, error=unavailable())
    report = await world.make(*(uploaded(row._replace(key=f"{number}.png")) for number in range(200)))
    assert world.store.calls["put"] == 64
    assert report.left == 200
    assert len(world.warnings) == 1, "one warning"


async def test_a_stop_leaves_the_rest_to_the_next_run(world: World) -> None:
    rows = [world.image(f"{number}.jpg") for number in range(3)]
    reached, stop = anyio.Event(), Stop()
    world.store.on("put", times=-1, wait=anyio.Event(), reached=reached)
    async with making_thumbnails(world.plan(), stop) as sink:
        await sink.outcomes([uploaded(row) for row in rows])
        await reached.wait()
        stop.request()
    assert sink.report.left == 3
    world.store = FaultyStore(world.bucket)
    assert (await world.make()).made == 3


async def test_a_cancelled_run_leaves_the_rest_to_the_next_one(world: World) -> None:
    reached = anyio.Event()
    world.store.on("put", wait=anyio.Event(), reached=reached)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(world.make, uploaded(world.image("a.jpg"))))
        await reached.wait()
        group.cancel_scope.cancel()
    world.store = FaultyStore(world.bucket)
    assert (await world.make()).made == 1


async def test_without_a_list_on_disk_they_are_made_all_the_same(world: World) -> None:
    Path(world.pending).mkdir()
    report = await world.make(uploaded(world.image("a.jpg")))
    assert report.made == 1
    assert "list of thumbnails" in world.warnings[0]


async def test_a_list_that_breaks_fails_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, tasks: Any) -> None:
        raise PendingError("the disk is full")

    monkeypatch.setattr(PendingThumbnails, "add", full)
    report = await world.make(uploaded(world.image("a.jpg")))
    assert report.made == 0
    assert "the disk is full" in world.warnings[0]


async def test_an_image_that_breaks_the_scaling_is_left_out_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aios3sync.images import thumbnails

    real = thumbnails.scaled  # type: ignore[attr-defined]

    def broken(path: str, *more: Any) -> Any:
        if path.endswith("b.jpg"):
            raise ArithmeticError("?")
        return real(path, *more)

    monkeypatch.setattr(thumbnails, "scaled", broken)
    report = await world.make(*(uploaded(world.image(name)) for name in ("a.jpg", "b.jpg", "c.jpg")))
    assert (report.made, report.unscalable) == (2, 1)


async def test_an_unexpected_error_of_thumbnails_fails_no_sync(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, *more: Any) -> Any:
        raise ArithmeticError("?")

    monkeypatch.setattr(PendingThumbnails, "after", broken)
    report = await world.make(uploaded(world.image("a.jpg")))
    assert report.made == 0
    assert "ArithmeticError" in world.warnings[0]


async def test_an_index_that_fails_fails_nothing(world: World) -> None:
    async def record(changes: Sequence[Change]) -> None:
        raise ObjectIndexError("no database")

    report = await world.make(uploaded(world.image("a.jpg")), record=record)
    assert (report.made, report.left) == (1, 0)
    assert "no database" in world.warnings[0]


# With a sync


@pytest.fixture
def bucket(moto: Endpoint, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    name = f"thumbs-{abs(hash(request.node.name)) % 10**9}"
    client.create_bucket(Bucket=name)

    def keys() -> list[str]:
        return [each["Key"] for each in client.list_objects_v2(Bucket=name).get("Contents", ())]

    yield name, keys
    client.close()


async def test_a_sync_with_thumbnails(bucket: tuple[str, Callable[[], list[str]]], tmp_path: Path) -> None:
    """Thumbnails are made with their images, not twice, again after changes, removed with them, protected."""
    name, keys = bucket
    source = tmp_path / "photos"
    draw(source / "a.jpg")
    draw(source / "sub/b.png")
    (source / "c.png").write_bytes(b"broken")
    thumbs = [".thumbnails/64/site/a.jpg.webp", ".thumbnails/64/site/sub/b.png.webp"]
    async with connect() as s3:
        report = await s3.sync(source, f"s3://{name}/site", thumbnails=64)
        assert (report.uploaded, report.failed, report.exit_code) == (3, 0, 0)
        assert [each for each in report.warnings if "no thumbnail" in each]
        assert (await to_thread.run_sync(keys))[:2] == thumbs
        before = report.requests["PutObject"]
        assert before == 5
        report = await s3.sync(source, f"s3://{name}/site", thumbnails=64)
        assert report.requests == {}
        await to_thread.run_sync(partial(draw, source / "a.jpg", (100, 300)))
        report = await s3.sync(source, f"s3://{name}/site", thumbnails=64)
        assert report.requests["PutObject"] == 2
        await to_thread.run_sync((source / "a.jpg").unlink)
        report = await s3.sync(source, f"s3://{name}/site", thumbnails=64, delete="mirror")
        assert await to_thread.run_sync(keys) == [thumbs[1], "site/c.png", "site/sub/b.png"]
        await to_thread.run_sync(shutil.rmtree, source / "sub")
        report = await s3.sync(source, f"s3://{name}", delete="mirror")
        assert await to_thread.run_sync(keys) == [thumbs[1], "c.png"]


async def test_what_on_event_raises_at_a_thumbnail_comes_out_and_the_sync_is_recorded(
    bucket: tuple[str, Callable[[], list[str]]], tmp_path: Path
) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    (source / "c.png").write_bytes(b"broken")
    (source / "d.png").write_bytes(b"broken too")

    def listen(event: object) -> None:
        if isinstance(event, Warned):
            raise ZeroDivisionError("listener")

    async with connect() as s3:
        with pytest.raises(ZeroDivisionError, match="listener"):
            await s3.sync(source, f"s3://{bucket[0]}/site", thumbnails=64, on_event=listen)
        report = await s3.sync(source, f"s3://{bucket[0]}/site")
        assert (report.uploaded, report.kept + report.touched) == (0, 2)


async def test_a_dry_run_makes_none(bucket: tuple[str, Callable[[], list[str]]], tmp_path: Path) -> None:
    draw(tmp_path / "photos/a.jpg")
    async with connect() as s3:
        await s3.sync(tmp_path / "photos", f"s3://{bucket[0]}", thumbnails=64, dry_run=True)
    assert await to_thread.run_sync(bucket[1]) == []


@pytest.mark.parametrize("side", [-1, 1, 15, 2049])
async def test_invalid_sizes(tmp_path: Path, side: int) -> None:
    async with connect() as s3:
        with pytest.raises(UsageError, match="thumbnails"):
            await s3.sync(tmp_path, "s3://bucket", thumbnails=side)


async def test_without_pillow_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.images.size.find_spec", lambda _: None)
    async with connect() as s3:
        with pytest.raises(UsageError, match="pip install Pillow"):
            await s3.sync(tmp_path, "s3://bucket", thumbnails=64)


async def test_the_index_gets_the_thumbnails(
    bucket: tuple[str, Callable[[], list[str]]], tmp_path: Path
) -> None:
    """They follow the rows of the sync, whose facts stay, and are removed with their images."""
    name, _ = bucket
    source = tmp_path / "photos"
    draw(source / "a.jpg")
    (source / "text.txt").write_text("x")
    finished: list[Any] = []

    def listen(event: Any) -> None:
        if isinstance(event, Finished):
            finished.append(event)

    async with connect() as s3, s3.index(f"sqlite:///{tmp_path}/index.db") as index:
        report = await s3.sync(source, f"s3://{name}/site", thumbnails=64, index=index, on_event=listen)
        (image, text) = await index.page("site/")
        assert image.thumbnail == ".thumbnails/64/site/a.jpg.webp"
        assert (image.width, image.height, image.content_type) == (400, 200, "image/jpeg")
        assert image.uploaded_at > 0
        assert (text.thumbnail, text.width) == ("", None)
        assert [event.report for event in finished] == [report]
        (thumbnail,) = await index.get([image.thumbnail])
        assert thumbnail.content_type == "image/webp"
        assert (await index.reconcile(f"s3://{name}", repair=False)).differences == 0, (
            "it is the whole bucket"
        )
        await to_thread.run_sync((source / "a.jpg").unlink)
        await s3.sync(source, f"s3://{name}/site", thumbnails=64, index=index, delete="mirror")
        assert [row.key for row in await index.page()] == ["site/text.txt"]
        assert (await index.reconcile(f"s3://{name}", repair=False)).differences == 0


def test_a_task_keeps_a_time_that_64_bits_do_not_hold(tmp_path: Path) -> None:
    pending = PendingThumbnails(str(tmp_path / "x.thumbnails"))
    task = Task("a", Todo.MAKE, 2**63 - 1, -11_644_473_600 * 10**9 - 5, 3, "e")
    pending.add([task])
    assert pending.after(0, 10) == [task._replace(number=1)]
    pending.close()


def test_a_thumbnail_is_made_of_no_file_that_a_refused_link_leads_to(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", (30, 20))
    (tmp_path / "link.png").symlink_to("a.png")
    assert scaled((str(tmp_path), "link.png", True), 64).width == 30
    with pytest.raises(OSError, match="symbolic link"):
        scaled((str(tmp_path), "link.png", False), 64)
