# SPDX-License-Identifier: Apache-2.0
"""Working in the page: notes, a range for all trends, two moments, links, export, print, every key, the plan."""

from __future__ import annotations

import re

import pytest

from page.boxes import settled
from page.lived import PLAN

PIPE = "element/pipes%2FUchajy%20-%20Malay"
TRENDS = "trends?s=magnitude:Mary%20500|angle:Mary%20500&h=1"


def number(text: str) -> float:
    return float(re.sub(r"[^0-9.+-]", "", text.replace("−", "-")))


def place(page) -> list[float]:
    return [float(x) for x in re.findall(r"-?[0-9.]+", page.locator(".world").get_attribute("style"))]


def here(page) -> str:
    """Return what the address says after its #."""
    return page.evaluate("location.hash.slice(1)")


def test_a_note_on_an_element_is_read_by_another(country, open_page):
    page = open_page(view=PIPE)
    page.fill("section[aria-label=Faceplate] input[placeholder='Write a note']", "Valve 5 is being greased")
    page.keyboard.press("Enter")
    page.wait_for_selector("section[aria-label=Faceplate] >> text=Valve 5 is being greased")
    other = open_page("vera", view=PIPE)
    other.wait_for_selector("section[aria-label=Faceplate] >> text=Valve 5 is being greased")
    assert other.locator("input[placeholder='Write a note']").count() == 0
    written = [dict(r.about) for r in country.app.state.room.audit.records() if r.what == "write a note"]
    assert any("Valve 5 is being greased" in about.values() for about in written)


def test_a_dragged_range_holds_for_all_trends_two_moments_are_compared_and_the_link_shows_the_same(country, open_page):
    page = open_page(view=TRENDS)
    page.wait_for_function("() => document.querySelectorAll('.u-over').length === 2")
    box = page.locator(".u-over").first.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.99 * box["width"], box["y"] + 40, steps=4)
    page.mouse.up()
    page.wait_for_function("() => location.hash.includes('from=') && location.hash.includes('to=')")
    page.wait_for_function(  # both tables tell times of the dragged half hour only
        "() => [...document.querySelectorAll('.stack table.sr')].length === 2"
        " && [...document.querySelectorAll('.stack table.sr')].every(t => t.rows.length > 2)"
    )
    page.locator("text=Compare two moments").click()
    slider = page.locator("input[type=range]").first
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    settled(page)
    rows = page.locator("section.moments tbody tr")
    cells = rows.first.locator("td").all_inner_texts()
    assert number(cells[3]) == pytest.approx(number(cells[2]) - number(cells[1]), abs=0.011)
    assert "a=" in here(page)
    again = open_page("vera", view=here(page))
    again.wait_for_selector("section.moments tbody tr")
    settled(again)
    assert again.locator("section.moments").inner_text() == page.locator("section.moments").inner_text()
    before = page.evaluate("location.href")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("old => location.href !== old", arg=before)


def test_what_is_on_screen_is_exported_and_printed(country, open_page):
    page = open_page()
    page.wait_for_selector('[data-figure="electric_load"] .v')
    with page.expect_download() as waited:
        page.locator("#rail button", has_text="Export").click()
    text = waited.value.path().read_text(encoding="utf-8-sig")
    assert re.search(r"^Electric load,\"?[0-9,]+\"?,MW", text, re.MULTILINE)
    assert "Uchajy - Malay" in text  # the map's own table
    page.emulate_media(media="print")
    assert not page.locator("#rail").is_visible()
    assert page.locator("section[aria-label='Key figures']").is_visible()


def test_the_address_says_where_the_map_stands(country, open_page):
    page = open_page()
    page.wait_for_selector(".map .hit")
    page.locator(".zoom button").first.click()
    box = page.locator(".map").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 230, steps=3)
    page.mouse.up()
    page.wait_for_function("() => /map=1\\.50/.test(location.hash)")
    settled(page)
    moved = place(page)
    again = open_page("vera", view=here(page))
    again.wait_for_selector(".map .hit")
    settled(again)
    assert place(again) == pytest.approx(moved, abs=1.5)  # px


def test_every_key_does_what_its_list_says(country, open_page):
    page = open_page()
    body = page.locator("body")
    page.keyboard.press("w")
    page.wait_for_function("() => document.body.classList.contains('wall')")
    page.keyboard.press("w")
    page.keyboard.press("l")
    page.wait_for_function("() => document.documentElement.lang === 'tk'")
    for _ in range(2):
        page.keyboard.press("l")
    page.wait_for_function("() => document.documentElement.lang === 'en'")
    page.keyboard.press("4")
    page.wait_for_selector("tr[data-alarm]")
    for _ in range(2):
        page.keyboard.press("ArrowDown")  # past the urgent one, which cannot be shelved
    page.keyboard.press("s")
    page.keyboard.type("under repair")
    assert page.locator("#why").input_value() == "under repair"
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    page.wait_for_selector("main.v-diagnosis")
    page.keyboard.press("1")
    page.wait_for_selector(".map .hit")
    page.locator(".map .hit[data-element='pipes/Uchajy - Malay']").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("main.v-element")
    page.keyboard.press("?")
    page.locator("dialog input[type=checkbox]").uncheck()
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    page.keyboard.press("1")
    page.wait_for_timeout(200)
    assert body.locator("main.v-element").count() == 1  # single keys are off


def test_the_plan_shows_its_frontier_as_figure_and_table(country, open_page):
    page = open_page(view="plan")
    page.wait_for_selector("section[aria-label='Value against risk'] svg circle")
    known = [p for p in PLAN["points"] if p["mean"] is not None]
    assert page.locator("section[aria-label='Value against risk'] svg circle").count() == len(known)
    page.locator("section[aria-label='Value against risk'] button", has_text="Table").click()
    page.wait_for_function("() => location.hash.includes('frontier=table')")
    rows = page.locator("section[aria-label='Value against risk'] tbody tr")
    assert rows.count() == len(PLAN["points"])
    chosen = next(p for p in PLAN["points"] if p["chosen"])
    cells = rows.filter(has_text="●").locator("td").all_inner_texts()
    assert [number(cells[k]) for k in (0, 2, 3)] == pytest.approx(
        [chosen["lambda"], chosen["mean"], chosen["risk"]], abs=0.051
    )
    assert rows.filter(has_text="no plan keeps the bounds").count() == 1
