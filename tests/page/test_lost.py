# SPDX-License-Identifier: Apache-2.0
"""What goes wrong: no server, another version, no network, an ended session, a day of scans, odd names, no words."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from accounts.opened import WORDS
from page.boxes import clipped, overlapping, settled
from twin.desks import START

LOAD = "document.querySelector('[data-figure=\"electric_load\"] .v').innerText.replace(/,/g, '')"


def shows_the_newest(page, country):
    wanted = country.twin._newest["scan"]["key"]["electric_load"]["value"]
    page.wait_for_function(f"want => {LOAD} === want", arg=f"{wanted:.0f}")


def test_a_lost_server_is_said_and_one_of_another_version_brings_its_own_page(country, open_page):
    page = open_page()
    country.beat()
    page.wait_for_selector('[data-figure="electric_load"]')
    page.evaluate("window.before = true")
    country.stop()
    page.wait_for_selector("#ban.stale")
    hub = country.app.state.room.hub
    served, hub.page = hub.page, "another"
    try:
        country.start()
        page.wait_for_function("() => window.before === undefined")
        page.wait_for_selector('[data-figure="electric_load"]')
        country.beat()
        page.wait_for_selector("#ban:not(.stale)")
        shows_the_newest(page, country)
    finally:
        hub.page = served


def test_a_browser_without_its_network_says_so_and_recovers(country, open_page):
    page = open_page()
    country.beat()
    page.wait_for_selector('[data-figure="electric_load"]')
    page.context.set_offline(True)
    page.wait_for_selector("#ban.stale")
    assert "old" in page.locator("#ban").inner_text()
    page.context.set_offline(False)
    country.beat()
    page.wait_for_selector("#ban:not(.stale)")
    country.beat()
    shows_the_newest(page, country)


def test_an_ended_session_asks_for_the_password_and_goes_on_where_it_was(country, open_page):
    page = open_page(view="health")
    page.wait_for_selector("main.v-health")
    country.clock.now += 13 * 3600.0  # a session lasts 12 hours
    page.wait_for_selector("input[name=password]")
    assert "Sign in again" in page.locator("form").inner_text()
    page.fill("input[name=name]", "oper")
    page.fill("input[name=password]", WORDS)
    page.keyboard.press("Enter")
    page.wait_for_selector("main.v-health")


def test_a_page_that_is_left_open_for_a_day_stays_as_small_as_it_was(country, open_page):
    page = open_page()
    page.wait_for_selector('[data-figure="electric_load"]')
    wire = page.context.new_cdp_session(page)
    newest = country.twin._newest["scan"]

    async def tell(first, last):
        for k in range(first, last):
            time = datetime.fromtimestamp(START, UTC) + timedelta(days=2, seconds=100 * k)
            figures = {name: dict(f, value=(f["value"] or 0) + k % 50) for name, f in newest["key"].items()}
            country.twin.tell("scan", dict(newest, time=time.isoformat().replace("+00:00", "Z"), key=figures))
            await asyncio.sleep(0.008)

    def after(first, last):
        asyncio.run_coroutine_threadsafe(tell(first, last), country.loop).result(120)
        settled(page)
        wire.send("HeapProfiler.collectGarbage")
        return wire.send("Runtime.getHeapUsage")["usedSize"], wire.send("Memory.getDOMCounters")

    heap, counters = after(0, 200)
    later, counted = after(200, 864)  # 864 scans, 100 s apart: a day
    assert later < heap + 3e6
    assert counted["nodes"] < 1.2 * counters["nodes"]
    assert counted["jsEventListeners"] < 1.2 * counters["jsEventListeners"]
    country.beat()
    shows_the_newest(page, country)


def changed(path, change):
    """Let an answer of the server come changed."""

    def hook(page):
        def answer(route):
            got = route.fetch()
            route.fulfill(response=got, json=change(got.json()))

        page.route(re.compile(path), answer)

    return hook


def test_a_very_long_name_breaks_nothing(country, open_page):
    long = "Türkmenabat–Gazojak–Daşoguz magistral gaz geçirijisiniň ýokary basyşly bölegi " * 4

    def longer(said):
        for e in said["elements"][::7]:
            e["facts"].append({"key": "remark", "value": long, "unit": ""})
            e["id"], e["name"] = f"{e['id']} {long}", f"{e['name']} {long}"
        return said

    def both(page):
        changed(r"/network$", longer)(page)
        changed(r"/alarms\?limit", lambda list_: [dict(a, text=long, words=None, element=long) for a in list_])(page)

    page = open_page(before=both)
    found = []
    for view in ("overview", "element", "alarms", "diagnosis"):
        page.evaluate("v => location.hash = v", view)
        page.wait_for_selector(f"main.v-{view}")
        settled(page)
        found += [f"{view}: {what}" for what in (*overlapping(page), *clipped(page))]
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 1440
    assert found == []


def test_a_missing_translation_is_said_in_english(country, open_page):
    def poorer(said):
        del said["words"]["Overview"], said["words"]["Key figures"]
        return said

    page = open_page(lang="ru", before=changed(r"/words/ru$", poorer))
    page.wait_for_selector("section[aria-label='Key figures']")
    assert page.locator("#rail a").first.inner_text().split() == ["1", "Overview"]
    assert page.locator("#rail a").nth(1).inner_text().split()[1] != "Element"


def test_a_case_without_coordinates_is_drawn_by_its_distances(country, open_page):
    networks = []

    def unplaced(said):
        for e in said["elements"]:
            e["at"] = e["path"] = None
        networks.append(said["elements"])
        return said

    def both(page):
        changed(r"/network$", unplaced)(page)
        changed(r"/case$", lambda said: dict(said, has_map=False))(page)

    page = open_page(before=both)
    page.wait_for_selector(".map .hit[data-element^='lines/']")
    settled(page)
    lines = page.evaluate(
        '[...document.querySelectorAll(\'.map .hit[data-element^="lines/"], .map .hit[data-element^="pipes/"]\')]'
        ".map(g => [g.dataset.element, g.querySelector('.foc').getAttribute('d')])"
    )
    ends = {e["id"]: (e["from"], e["to"]) for e in networks[0]}
    at, near = {}, {}
    for element, d in lines:
        numbers = [float(x) for x in re.findall(r"-?\d+\.?\d*", d)]
        for name, place in zip(ends[element], (numbers[:2], numbers[-2:]), strict=True):
            at[name] = np.array(place)
        a, b = ends[element]
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    assert len(at) > 100
    far, drawn = [], []
    for name in sorted(at)[::9]:  # breadth-first distances, found anew
        steps, queue = {name: 0}, deque([name])
        while queue:
            for other in near[here := queue.popleft()]:
                if other not in steps:
                    steps[other] = steps[here] + 1
                    queue.append(other)
        for other, count in steps.items():
            far.append(count)
            drawn.append(float(np.linalg.norm(at[name] - at[other])))
    assert np.corrcoef(far, drawn)[0, 1] > 0.8
    assert page.locator(".map .land").count() == 0
    assert overlapping(page) == []


@pytest.mark.parametrize("view", ["element/pipes%2Fnobody", "trends?s=pressure:nobody", "alarms/nobody", "nowhere"])
def test_an_address_of_nothing_opens_all_the_same(country, open_page, view):
    page = open_page(view=view)
    page.wait_for_selector("#view section")
