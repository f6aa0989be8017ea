# SPDX-License-Identifier: Apache-2.0
"""The page of the control room in a real browser, on the true estimates of the whole country.

    python benchmarks/room_page.py [--json] [--short]

First view: from the address to the first estimated figure, signed in, with nothing in the browser's cache. Bytes: all
that comes over the wire until then, as packed. Long tasks: the longest task of the page's thread while the map is
dragged for five seconds and every scan moves all values. Boxes: texts that overlap or are cut without a tooltip, in
every view at four sizes, three languages and both themes (--short: one language and theme). Exit status 1 when a bar is
missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from playwright.sync_api import sync_playwright

from page.boxes import clipped, overlapping
from page.lived import CHROMIUM, FLAGS, lived, sign_in

VIEWS = ("overview", "element", "trends", "alarms", "diagnosis", "plan", "health")
SIZES = ((1440, 900), (1920, 1080), (1366, 768), (420, 900))
FIRST, BYTES, TASK = 1.0, 500_000, 50.0  # s, bytes, ms
WATCH = """() => { window.__long = 0; new PerformanceObserver(l => { for (const e of l.getEntries())
  window.__long = Math.max(window.__long, e.duration); }).observe({type: 'longtask'}); }"""


def first_view(browser, address: str) -> tuple[float, int]:
    """Return seconds to the first figure, and bytes over the wire."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    sign_in(page, address)
    page.wait_for_selector('[data-figure="electric_load"]')
    wire = context.new_cdp_session(page)
    counted = [0]
    wire.on("Network.loadingFinished", lambda e: counted.__setitem__(0, counted[0] + int(e["encodedDataLength"])))
    wire.send("Network.enable")
    wire.send("Network.clearBrowserCache")
    page.goto("about:blank")
    begun = time.perf_counter()
    page.goto(f"{address}/#overview", wait_until="commit")
    page.wait_for_selector('[data-figure="electric_load"]')
    took = time.perf_counter() - begun
    page.wait_for_timeout(2000)  # what comes after the first figure counts too: land, letters
    context.close()
    return took, counted[0]


def longest_task(browser, country) -> float:
    """Return the longest task [ms] while the map is dragged and scans move everything."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    sign_in(page, country.address)
    page.wait_for_selector('[data-figure="electric_load"]')
    page.wait_for_timeout(3000)
    page.evaluate(WATCH)
    ended = threading.Event()

    def beats():
        while not ended.is_set():
            country.beat()
            ended.wait(1.0)

    beating = threading.Thread(target=beats)
    beating.start()
    box = page.locator(".map").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        page.mouse.move(x, y)
        page.mouse.down()
        for k in range(20):
            page.mouse.move(x + 4 * k, y + 2 * k)
        page.mouse.up()
    ended.set()
    beating.join()
    found = float(page.evaluate("window.__long"))
    page.close()
    return found


def boxes(browser, country, looks) -> list[str]:
    """Return every overlap and cut."""
    wrong = []
    for (width, height), language, theme in looks:
        page = browser.new_page(viewport={"width": width, "height": height})
        sign_in(page, country.address, lang=language, theme=theme)
        for view in VIEWS:
            page.evaluate("v => location.hash = v", view)
            page.wait_for_selector(f"main.v-{view}")
            page.wait_for_timeout(500)
            wrong += [f"{width} {language} {theme} {view}: {w}" for w in (*overlapping(page), *clipped(page))]
        page.close()
    return wrong


def main() -> int:
    """Measure and print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--json", action="store_true", help="a JSON line for each figure")
    ask.add_argument("--short", action="store_true", help="boxes in one language and theme")
    given = ask.parse_args()
    languages, themes = (("en",), ("light",)) if given.short else (("en", "tk", "ru"), ("light", "dark"))
    looks = [(s, lang, theme) for s in SIZES for lang in languages for theme in themes]
    with tempfile.TemporaryDirectory() as folder, lived(Path(folder)) as country, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        country.beat()
        views = [first_view(browser, country.address) for _ in range(5)]
        task = longest_task(browser, country)
        wrong = boxes(browser, country, looks)
        browser.close()
    took, size = sorted(t for t, _ in views)[2], max(n for _, n in views)
    rows = [
        {"work": "first view, median of five [s]", "figure": round(took, 3), "bar": FIRST, "holds": took <= FIRST},
        {"work": "first view, bytes over the wire", "figure": size, "bar": BYTES, "holds": size <= BYTES},
        {"work": "map dragged while all moves, longest task [ms]", "figure": round(task, 1), "bar": TASK,
         "holds": task <= TASK},
        {"work": f"texts that overlap or are cut, {len(looks)} looks of {len(VIEWS)} views", "figure": len(wrong),
         "bar": 0, "holds": not wrong},
    ]  # fmt: skip
    for row in rows:
        print(json.dumps(row) if given.json else f"{row['figure']:>12,}  {row['work']}  (bar {row['bar']})")
    for text in wrong:
        print(text, file=sys.stderr)
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
