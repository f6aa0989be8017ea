# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser, over a real server, on the true estimates of a seeded run of the whole country."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from page.boxes import clipped, overlapping
from page.lived import SILENT

VIEWS = ("overview", "element", "trends", "alarms", "diagnosis", "plan", "health")
SIZES = ((1440, 900), (1920, 1080), (1366, 768), (420, 900))
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"


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
    page.wait_for_function("() => document.activeElement.id === 'find'")
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


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: the page was not built here")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(country, open_page, theme):
    page = open_page(theme=theme)
    page.evaluate(AXE.read_text(encoding="utf-8"))  # not as a script tag: the page's policy forbids strange scripts
    for k, _ in enumerate(VIEWS, 1):
        page.keyboard.press(str(k))
        page.wait_for_timeout(300)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
        serious = [f"{v['id']}: {v['nodes'][0]['html'][:160]}" for v in found if v["impact"] in {"serious", "critical"}]
        assert serious == []


def pictures(folder: Path) -> Path:
    """Return where pictures are kept: the folder SERAI_PICTURES, else that of the test."""
    kept = Path(os.environ.get("SERAI_PICTURES", folder))
    kept.mkdir(parents=True, exist_ok=True)
    return kept


LOOKS = [*((size, "en", "light") for size in SIZES), ((1440, 900), "ru", "dark"), ((1366, 768), "tk", "light")]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0][0]}-{look[1]}-{look[2]}")
def test_no_text_overlaps_or_is_cut_without_a_tooltip(country, open_page, tmp_path, look):
    size, language, theme = look
    page = open_page(size=size, lang=language, theme=theme)
    found = []
    for view in VIEWS:
        page.evaluate("v => location.hash = v", view)
        page.wait_for_selector(f"main.v-{view}")
        page.wait_for_timeout(300)
        page.screenshot(path=pictures(tmp_path) / f"{view}-{size[0]}-{language}-{theme}.png")
        found += [f"{view}: {what}" for what in (*overlapping(page), *clipped(page))]
    assert found == []
