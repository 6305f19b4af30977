"""The page in a real browser: its content; names never become markup, and it sends no request."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aios3sync.core.text import printable
from aios3sync.errors import UsageError
from aios3sync.stats.html import check_page_path, render_page, write_page
from aios3sync.stats.model import Breakdown, BucketStats, FolderTotals, Histogram
from tests.stats.samples import HOSTILE, hostile, sample

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CELLS = "return [...document.querySelectorAll('.cell:not(.inner)')].map(c => [c.offsetWidth, c.offsetHeight])"


class Elements(HTMLParser):
    """All elements of a page, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def log(chrome: Chrome, kind: str) -> list[dict[str, Any]]:
    """Return the entries of a log since the last call."""
    entries: list[dict[str, Any]] = chrome.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


def console(chrome: Chrome) -> list[str]:
    """Return the messages of the console."""
    return [entry["message"] for entry in log(chrome, "browser")]


def opened(chrome: Chrome, stats: BucketStats, place: Path, width: int = 1200) -> list[str]:
    """Show the page, and return the URLs that the browser requested."""
    write_page(stats, place)
    chrome.get("about:blank")
    log(chrome, "performance")
    console(chrome)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    chrome.get(place.as_uri())
    events = [json.loads(entry["message"])["message"] for entry in log(chrome, "performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]


@pytest.mark.parametrize("width", [1200, 390], ids=["desk", "phone"])
@pytest.mark.parametrize("make", [sample, hostile], ids=lambda make: make.__name__)
def test_in_a_browser(chromium: Chrome, tmp_path: Path, make: Any, width: int) -> None:
    stats: BucketStats = make()
    place = tmp_path / "page.html"
    assert opened(chromium, stats, place, width) == [place.as_uri()]
    assert chromium.title == printable(f"{stats.location}: statistics")
    assert console(chromium) == []
    assert chromium.execute_script("return document.querySelectorAll('img, iframe, a, link').length") == 0
    cells: list[list[int]] = chromium.execute_script(CELLS)
    assert len(cells) == len(stats.folders.children) + 1  # the other objects are one more
    whole: list[int] = chromium.execute_script(
        "const m = document.getElementById('map'); return [m.clientWidth, m.clientHeight]"
    )
    covered = sum(wide * high for wide, high in cells) / (whole[0] * whole[1])
    assert covered == pytest.approx(1, abs=0.03)
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    picture = tmp_path / "page.png"
    assert chromium.save_screenshot(str(picture))
    assert picture.stat().st_size > 20_000
    text: str = chromium.execute_script("return document.body.innerText")
    assert ("INCOMPLETE" in text) == (not stats.complete)


def test_hostile_names_are_shown_as_they_are(chromium: Chrome, tmp_path: Path) -> None:
    opened(chromium, hostile(), tmp_path / "page.html")
    names: list[str] = chromium.execute_script(
        "return [...document.querySelectorAll('.cell:not(.inner) .name')].map(c => c.textContent)"
    )
    assert set(names) == {*map(printable, HOSTILE), "other objects"}
    shown: list[str] = chromium.execute_script(
        "return [...document.querySelectorAll('bdi')].map(b => b.textContent)"
    )
    assert set(map(printable, HOSTILE[:6])) <= set(shown)


def test_the_policy_forbids_a_script_that_got_in(chromium: Chrome, tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    opened(chromium, sample(), place)
    place.write_text(place.read_text().replace("<header>", "<header><script>document.title='owned'</script>"))
    chromium.get(place.as_uri())
    assert chromium.title != "owned"
    assert any("Content Security Policy" in message for message in console(chromium))


def test_folders_open_and_close_with_the_keyboard(chromium: Chrome, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    opened(chromium, sample(), tmp_path / "page.html")
    crumbs = "return [...document.querySelectorAll('#where button')].map(b => b.textContent)"
    chromium.execute_script("document.querySelector('.cell').focus()")
    chromium.switch_to.active_element.send_keys(Keys.ENTER)
    assert chromium.execute_script(crumbs) == ["s3://research-datasets/vision/", "train/"]
    before = chromium.switch_to.active_element.text
    chromium.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert chromium.switch_to.active_element.text != before
    chromium.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert chromium.execute_script(crumbs) == ["s3://research-datasets/vision/"]


def test_no_name_becomes_markup_without_a_browser() -> None:
    tags = {tag for tag, _ in Elements(render_page(hostile())).found}
    assert tags == {
        tag for tag, _ in Elements(render_page(replace(sample(), complete=False, warnings=("w",)))).found
    }
    for _, attributes in Elements(render_page(hostile())).found:
        assert not any(name.startswith("on") or name in ("style", "src", "href") for name in attributes)


def test_an_empty_bucket_has_a_page(chromium: Chrome, tmp_path: Path) -> None:
    empty = replace(
        sample(), folders=FolderTotals("", "", 0, 0), kinds=(), largest=(), newest=(),
        top_folders=Breakdown(),
        sizes=Histogram("bytes"), ages=Histogram("seconds"), extensions=Breakdown(),
        storage_classes=Breakdown(),
    )  # fmt: skip
    opened(chromium, empty, tmp_path / "page.html")
    assert console(chromium) == []
    assert "nothing to draw" in chromium.execute_script("return document.body.innerText")


def test_the_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "page.html"
    place.write_text("before")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(UsageError, match=r"page\.html' cannot be written: No space left on device"):
            write_page(sample(), place)
    assert place.read_text() == "before"
    assert os.listdir(tmp_path) == ["page.html"]
    write_page(sample(), place)
    assert place.read_text().startswith("<!doctype html>")
    assert os.listdir(tmp_path) == ["page.html"]


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    for place, reason in (
        (tmp_path / "no" / "page.html", "no such directory"),
        (tmp_path, "it is a directory"),
        (Path(os.devnull), "no regular file"),
    ):
        with pytest.raises(UsageError, match=reason):
            check_page_path(place)


def test_cards_of_compression_are_shown_where_there_is_some() -> None:
    stats = sample()
    assert any(kind.name != "direct" for kind in stats.kinds)
    assert "before compression" in render_page(stats)
    plain = replace(stats, kinds=tuple(kind for kind in stats.kinds if kind.name == "direct"))
    page = render_page(plain)
    assert "before compression" not in page
    assert page.count('class="tile"') == 2
