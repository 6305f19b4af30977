"""What all tests share: no AWS of the developer's, servers that start when first asked for, no blocking."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from aios3sync.store.s3.redaction import forget_secrets
from aios3sync.testing.servers import Endpoint, start_moto, start_seaweedfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

pytest.register_assert_rewrite("aios3sync.testing.contract")

# How long an example takes says more of what else the machine does than of the code. Every run has the same
# examples; HYPOTHESIS_PROFILE=search looks for others.
_CALM: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("calm", derandomize=True, **_CALM)
settings.register_profile("search", **_CALM)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "calm"))


@pytest.fixture(autouse=True)
def isolated(
    no_blocking: BlockBuster,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Hide the AWS settings and the state of the user who runs the tests; return the state directory."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AIOS3SYNC_")):
            monkeypatch.delenv(name)
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(state / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(state / "aws-credentials"))
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return state


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    """Forget the credentials of a test: they may be words of the messages of another one."""
    yield
    forget_secrets()


@pytest.fixture(autouse=True)
def no_blocking() -> Iterator[BlockBuster]:
    """Fail when code of ours blocks the event loop: files, sleeps, sockets, SQLite.

    botocore may read its own JSON and the certificates while it creates a client: that happens once, as does
    reading the name of the endpoint from the AWS configuration. What is asked of the chain of credentials
    again is asked in a loop of another thread.
    """
    with blockbuster_ctx("aios3sync", excluded_modules=["aios3sync.testing"]) as blockbuster:
        for function in blockbuster.functions.values():
            function.can_block_in("aiobotocore/session.py", {"_create_client"})
            function.can_block_in("aiobotocore/httpsession.py", {"_create_connector"})
            function.can_block_in("aios3sync/store/boto/credentials.py", {"_run"})
            function.can_block_in("aios3sync/stores.py", {"endpoint"})
        yield blockbuster


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[Endpoint]:
    """A SeaweedFS of this test process; starts with the first test that asks for it."""
    with start_seaweedfs() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def moto() -> Iterator[Endpoint]:
    """A moto server of this test process."""
    with start_moto() as endpoint:
        yield endpoint


_CHROMIUM_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium of this test process; skips where there is none, unless REQUIRE_CHROMIUM is set."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        assert not os.environ.get("REQUIRE_CHROMIUM"), "REQUIRE_CHROMIUM is set, and there is no Chromium"
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for option in (*_CHROMIUM_OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()
