"""The gallery in a real browser: a server process, on an index that a sync has filled."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

from tests.clients import boto3_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

    from aios3sync.testing.servers import Endpoint

GALLERY = Path(__file__).parents[2] / "examples" / "gallery"
PICTURES = 60
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> ' & % # ?.txt"
BUCKET = "gallery-bucket"


@pytest.fixture(scope="module")
def gallery(seaweedfs: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gallery of 60 pictures in three folders, and one file with a hostile name."""
    root = tmp_path_factory.mktemp("gallery")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **seaweedfs.environment(),
        "GALLERY_INDEX": f"sqlite:///{root / 'gallery.db'}",
        "XDG_STATE_HOME": str(root / "state"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    client = boto3_client(seaweedfs)
    client.create_bucket(Bucket=BUCKET)
    draw_pictures(root / "pictures")
    fill = [sys.executable, str(GALLERY / "fill.py"), str(root / "pictures"), f"s3://{BUCKET}"]
    subprocess.run(fill, env=environment, check=True, timeout=240)
    with served(environment) as address:
        yield address


def draw_pictures(root: Path) -> None:
    for number in range(PICTURES):
        folder = root / ("birds", "fish", "trees")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        shade = number * 255 // PICTURES
        picture = Image.linear_gradient("L").resize((320, 240))
        image = Image.merge("RGB", (picture, Image.new("L", (320, 240), shade), picture.rotate(180)))
        image.save(folder / f"{number:03}.jpg")
    (root / HOSTILE).write_text("text")


@contextmanager
def served(environment: dict[str, str]) -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(GALLERY), "--port", str(port), "app:app"]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        await_answer(address)
        yield address
    finally:
        server.terminate()
        server.wait(240)


def await_answer(address: str) -> None:
    deadline = time.monotonic() + 240
    while True:
        try:
            with urlopen(f"{address}/gallery.css", timeout=5):  # noqa: S310 - our own server
                return
        except OSError:
            assert time.monotonic() < deadline, "the gallery did not start"
            time.sleep(0.1)


def names(chrome: Chrome) -> list[str]:
    return [one.text for one in chrome.find_elements(By.CSS_SELECTOR, "figcaption bdi")]


def loaded(chrome: Chrome) -> list[int]:
    """The real widths of the pictures of the page, once all of them are there."""
    script = "return [...document.images].map(i => i.complete ? i.naturalWidth : -1)"
    deadline = time.monotonic() + 240
    while True:
        widths: list[int] = chrome.execute_script(script)
        if -1 not in widths or time.monotonic() > deadline:
            return widths
        time.sleep(0.1)


def test_pages_and_pictures(chromium: Chrome, gallery: str, tmp_path: Path) -> None:
    metrics = {"width": 1100, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    chromium.get(gallery)
    assert chromium.find_element(By.ID, "total").text.startswith("61 objects")
    assert chromium.title == "Gallery"
    assert HOSTILE in names(chromium)
    assert loaded(chromium) == [256] * 23  # thumbnails, really loaded; the text file has no picture
    source = chromium.find_element(By.TAG_NAME, "img").get_attribute("src") or ""
    assert "/.thumbnails/256/" in source
    assert "X-Amz-Signature=" in source
    picture = tmp_path / "gallery.png"
    assert chromium.save_screenshot(str(picture))
    assert picture.stat().st_size > 20_000
    seen = names(chromium)
    while following := chromium.find_elements(By.ID, "next"):
        following[0].click()
        assert loaded(chromium) == [256] * len(names(chromium))
        seen += names(chromium)
    assert len(seen) == len(set(seen)) == PICTURES + 1


@pytest.mark.parametrize("order", ["newest", "largest"])
def test_thumbnails_are_no_pictures_of_their_own(chromium: Chrome, gallery: str, order: str) -> None:
    chromium.get(gallery)
    chromium.find_element(By.LINK_TEXT, order).click()
    seen = names(chromium)
    while following := chromium.find_elements(By.ID, "next"):
        following[0].click()
        seen += names(chromium)
    assert len(seen) == len(set(seen)) == PICTURES + 1
    chromium.get(f"{gallery}/?folder=.thumbnails/256/")
    assert chromium.find_element(By.ID, "total").text.startswith(f"{PICTURES} objects")
    assert len(names(chromium)) == 24


def test_folders(chromium: Chrome, gallery: str) -> None:
    chromium.get(gallery)
    (fish,) = [one for one in chromium.find_elements(By.CSS_SELECTOR, ".folders a") if "fish" in one.text]
    assert "20" in fish.text
    fish.click()
    assert chromium.find_element(By.ID, "total").text.startswith("20 objects")
    assert names(chromium) == [f"{number:03}.jpg" for number in range(1, PICTURES, 3)]
    assert loaded(chromium) == [256] * 20


def test_random_picks(chromium: Chrome, gallery: str) -> None:
    chromium.get(gallery)
    picks = []
    for _ in range(2):
        chromium.find_element(By.ID, "random").click()
        picks.append(tuple(names(chromium)))
        assert len(set(picks[-1])) == 24
        assert not [name for name in picks[-1] if name.endswith(".webp")]
    assert picks[0] != picks[1]


def test_search(chromium: Chrome, gallery: str) -> None:
    chromium.get(gallery)
    field = chromium.find_element(By.NAME, "text")
    field.send_keys("01")
    field.submit()
    WebDriverWait(chromium, 20).until(staleness_of(field))  # a form is sent after the call has returned
    WebDriverWait(chromium, 20).until(
        lambda page: page.execute_script("return document.readyState") == "complete"
    )
    assert set(names(chromium)) == {"001.jpg", *(f"01{n}.jpg" for n in range(10))}
    assert set(loaded(chromium)) == {256}


def test_an_invalid_request_is_refused_with_a_message(chromium: Chrome, gallery: str) -> None:
    chromium.get(f"{gallery}/?order=colour")
    assert "order: 'colour' is not one of" in chromium.page_source
