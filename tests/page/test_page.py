# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser, over a real server, on the true estimates of a seeded run of the whole country."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from page.boxes import clipped, overlapping
from page.lived import CHROMIUM, FLAGS, PAGE, SILENT, lived, sign_in

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.skipif(not (PAGE / "index.html").is_file(), reason="the page was not built (SERAI_PAGE=none)"),
]
VIEWS = ("overview", "element", "trends", "alarms", "diagnosis", "plan", "health")
SIZES = ((1440, 900), (1920, 1080), (1366, 768), (420, 900))
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
# this room has no plan, no look-ahead (404) and no history (503); the browser writes a line of its own for each
EXPECTED = re.compile(r"status of (404|503)")


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    with lived(tmp_path_factory.mktemp("country")) as made:
        yield made


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, country):
    """Return what opens a page signed in; at the end nothing may have gone wrong in any, nor gone outside."""
    wrong, contexts = [], []

    def opened(name="oper", view="overview", size=(1440, 900), **how):
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: m.type == "error" and not EXPECTED.search(m.text) and wrong.append(m.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: r.url.startswith((country.address, "data:", "blob:")) or wrong.append(r.url))
        sign_in(page, country.address, name, view, **how)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def number(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def test_the_overview_shows_the_estimates_of_the_twin_and_moves_with_them(country, open_page):
    page = open_page()
    figure = page.locator('[data-figure="electric_load"] .v')
    for _ in range(2):
        country.beat()
        wanted = country.twin._newest["scan"]["key"]["electric_load"]["value"]
        page.wait_for_function(
            "want => document.querySelector('[data-figure=\"electric_load\"] .v').innerText.replace(/,/g, '') == want",
            arg=f"{wanted:.0f}",
            timeout=10_000,
        )
    assert number(figure.inner_text()) == pytest.approx(wanted, abs=0.5)
    good = country.twin._newest["health"]["quality"]["good"]
    page.wait_for_function("n => document.querySelector('.hkey b').innerText.replace(/,/g, '') == n", arg=str(good))


def test_a_faceplate_shows_measured_and_estimated_values_apart(country, open_page):
    layout, scan = country.twin.loop.layout, country.twin._newest["scan"]
    k = next(k for (q, _), k in layout.place.items() if q == "magnitude" and scan["measured"][k] is not None)
    name = layout.values[k].where
    page = open_page(view=f"element/buses%2F{name.replace(' ', '%20')}")
    country.beat()
    scan = country.twin._newest["scan"]
    row = page.locator("section[aria-label=Faceplate] tbody tr", has_text="Voltage").first
    page.wait_for_timeout(300)
    cells = row.locator("td").all_inner_texts()
    assert number(cells[1]) == pytest.approx(scan["measured"][k], abs=0.0051)
    assert number(cells[2]) == pytest.approx(scan["estimate"][k], abs=0.0051)


def test_links_and_a_station_that_fell_silent_are_shown(country, open_page):
    page = open_page(view="alarms")
    page.wait_for_selector("tr[data-alarm]")
    assert any(SILENT.split()[0] in text for text in page.locator("tr[data-alarm]").all_inner_texts())
    counts = country.twin._newest["health"]["quality"]
    assert counts["stale"] > 0


def test_an_alarm_acknowledged_in_one_browser_is_acknowledged_in_the_other(country, open_page):
    one, other = open_page(view="alarms"), open_page("olga", view="alarms")
    row = one.locator("tr.unack[data-alarm]").first
    alarm = row.get_attribute("data-alarm")
    row.click()
    one.locator("section.det button", has_text="Acknowledge").click()
    country.beat()
    for page in (one, other):
        page.wait_for_selector(f'tr.calm[data-alarm="{alarm}"]', timeout=10_000)
    assert country.twin.alarms_kept.alarm(alarm).shown()["acknowledged_by"] == "oper"


def test_all_by_keyboard(country, open_page):
    page = open_page()
    for k, view in enumerate(VIEWS, 1):
        page.keyboard.press(str(k))
        page.wait_for_selector(f"main.v-{view}")
    page.keyboard.press("4")
    page.wait_for_selector("tr[data-alarm]")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.alarm") is not None
    page.keyboard.press("/")
    page.wait_for_function("document.activeElement.id === 'find'")
    page.keyboard.type("Mary")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    before = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("t")
    page.wait_for_function("t => document.documentElement.dataset.theme !== t", arg=before)


def test_a_viewer_may_look_and_not_act(country, open_page):
    page = open_page("vera", view="alarms")
    page.wait_for_selector("tr[data-alarm]")
    assert page.locator("section.det button", has_text="Acknowledge").is_disabled()
    assert page.locator("text=Propose command").count() == 0


def test_a_lost_server_is_said_and_the_page_recovers(country, chromium):
    page = chromium.new_page()
    sign_in(page, country.address)
    country.beat()
    page.wait_for_selector('[data-figure="electric_load"]')
    country.stop()
    page.wait_for_selector("#ban.stale", timeout=30_000)
    country.start()
    page.wait_for_selector("#ban:not(.stale)", timeout=30_000)
    country.beat()
    wanted = country.twin._newest["scan"]["key"]["electric_load"]["value"]
    page.wait_for_function(
        "want => document.querySelector('[data-figure=\"electric_load\"] .v').innerText.replace(/,/g, '') == want",
        arg=f"{wanted:.0f}",
    )
    page.close()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: the page was not built here")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(country, open_page, theme):
    page = open_page(theme=theme)
    page.evaluate(AXE.read_text(encoding="utf-8"))  # not as a script tag: the page's policy forbids strange scripts
    for k, _ in enumerate(VIEWS, 1):
        page.keyboard.press(str(k))
        page.wait_for_timeout(400)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
        serious = [f"{v['id']}: {v['nodes'][0]['html'][:160]}" for v in found if v["impact"] in {"serious", "critical"}]
        assert serious == []


LOOKS = [*((size, "en", "light") for size in SIZES), ((1440, 900), "ru", "dark"), ((1366, 768), "tk", "light")]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0][0]}-{look[1]}-{look[2]}")
def test_no_text_overlaps_or_is_cut_without_a_tooltip(country, open_page, tmp_path, look):
    size, language, theme = look
    page = open_page(size=size, lang=language, theme=theme)
    found = []
    for view in VIEWS:
        page.evaluate("v => location.hash = v", view)
        page.wait_for_selector(f"main.v-{view}")
        page.wait_for_timeout(500)
        page.screenshot(path=tmp_path / f"{view}.png")
        found += [f"{view}: {what}" for what in (*overlapping(page), *clipped(page))]
    assert found == []
