# SPDX-License-Identifier: Apache-2.0
"""One country and one browser for all tests of the page."""

from __future__ import annotations

import re

import pytest

from page.lived import CHROMIUM, FLAGS, PAGE, lived, sign_in

# this room has no look-ahead (404); a browser without its network or server, and one whose session ended, writes a
# line of its own for each call
EXPECTED = re.compile(r"status of (404|503|401)|ERR_(INTERNET_DISCONNECTED|CONNECTION_REFUSED|INCOMPLETE_CHUNKED)")


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    if not (PAGE / "index.html").is_file():
        pytest.skip("the page was not built (SERAI_PAGE=none)")
    with lived(tmp_path_factory.mktemp("country")) as made:
        yield made


@pytest.fixture(scope="module")  # while the driver is there its loop runs, and no other test could run one
def chromium(country):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, country):
    """Return what opens a page signed in; at the end nothing may have gone wrong in any, nor gone outside."""
    wrong, contexts = [], []

    def opened(name="oper", view="overview", size=(1440, 900), before=None, **how):
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: m.type == "error" and not EXPECTED.search(m.text) and wrong.append(m.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: r.url.startswith((country.address, "data:", "blob:")) or wrong.append(r.url))
        if before is not None:
            before(page)
        sign_in(page, country.address, name, view, **how)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
