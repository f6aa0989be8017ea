# SPDX-License-Identifier: Apache-2.0
"""A control room of the whole country for tests in a browser: true estimates of a seeded run, a real server, people."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

import serai as sr
from accounts.opened import WORDS
from room.opened_room import site
from serai.diagnose.incident import Incident
from serai.telemetry import historian
from serai.twin.loop import Loop, Settings
from serai.twin.twin import Around, Twin
from twin.desks import START, Meters

PAGE = Path(sr.__file__).parent / "room" / "page"
BROWSERS = (os.environ.get("SERAI_CHROMIUM"), shutil.which("chromium"), shutil.which("chromium-browser"))
CHROMIUM = next(filter(None, BROWSERS), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-first-run"]
PLAN = {  # as `serai plan --frontier` writes it; the page shows what stands here
    "title": "turkmenistan", "made": "2026-11-23T00:33:45Z", "unit": "bcm", "money": "bn USD",
    "years": [2027, 2028, 2029],
    "value": 66.9, "bound": 67.0, "gap": 0.0012, "futures": 2,
    "flows": [{"name": "China A-C", "market": "China", "volume": [30.0, 31.0, 32.5]},
              {"name": "Uzbekistan", "market": "Russia and Central Asia", "volume": [5.0, 4.0, 3.5]}],
    "shares": [{"by": "route", "name": "Gedaim", "now": 0.8, "plan": 0.44, "limit": 0.45, "year": 2029},
               {"by": "transit", "name": "Uzbekistan", "now": None, "plan": 0.47, "limit": 0.45, "year": 2029}],
    "frontier": [{"risk": 33.1, "value": 70.4, "label": "0.25", "chosen": True}],
    "price": [{"limit": 100.0, "given_up": 0.0}, {"limit": 45.0, "given_up": 1.6}],
    "points": [
        {"lambda": weight, "limit": limit, "value": 66.9, "bound": 67.0, "gap": 0.0012, "proven": weight < 0.5,
         "mean": None if (weight, limit) == (0.5, 45.0) else 70.4 - weight - (100 - limit) / 20, "price": 0.31,
         "risk": None if (weight, limit) == (0.5, 45.0) else 32.1 + 4 * weight - (100 - limit) / 30,
         "price_step": 0.42 if limit == 45.0 else None, "builds": ["Connector"], "contracts": ["Europe"],
         "chosen": (weight, limit) == (0.25, 45.0), "seconds": 12.3}
        for weight in (0.0, 0.25, 0.5) for limit in (45.0, 100.0)
    ],
    "certificate": [{"lost": "Malay, one of 2", "volume": 1.0, "left": 80.0, "cover": 96.0, "needed": 100.0,
                     "holds": False}],
    "replay": [{"year": 2028, "season": "winter", "holds": True, "element": None, "text": None}],
    "builds": [{"name": "Connector", "year": 2027, "cost": 0.4}], "text": ["One piece fails."],
}  # fmt: skip
SILENT = "Malay substation"  # a station that stops sending: its tags go stale, which is an alarm

LEAK, CIRCUIT = "Uchajy - Malay", "Mary 220 - Galkynysh 220 circuit"
SCAN = {"source": "scan", "onset": START, "seen": START, "limit": 6.0, "told": START}
FOUND = (  # what a diagnosis has found: alarms stand on a pipe, a node, a station and two power lines
    Incident("leak", (("leak", LEAK), ("leak", "Malay"), ("bias or forged", "Malay CS FT")), "gas in motion", START,
             START, 12.0, 2.0, "kg/s", 7.1, 6.0, 0.01, 3.0, LEAK, 0.35, 0.07, number=1, told=START),
    Incident("efficiency", (("efficiency", "Malay CS"),), **SCAN, score=6.6, number=2),
    Incident("branch open", tuple(("branch open", f"{CIRCUIT} {k}") for k in (1, 2)), **SCAN, score=9.0,
             false_alarm=0.001, number=3),
)  # fmt: skip


@dataclass
class Lived:
    """A twin that beats when the test says so, and its room behind a port."""

    twin: Twin
    meters: Meters
    app: object
    clock: object = None  # of the accounts
    port: int = 0
    now: float = START
    seed: int = 0
    loop: asyncio.AbstractEventLoop | None = None
    silent: frozenset = field(default_factory=frozenset)
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve, on the port of before where there was one."""
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(self.app, log_level="critical", timeout_graceful_shutdown=1, ws="none")
        self._server = uvicorn.Server(config)
        ready = threading.Event()

        async def serve():
            self.loop = asyncio.get_running_loop()
            ready.set()
            await self._server.serve(sockets=[listening])

        self._thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
        self._thread.start()
        ready.wait(10)
        while not self._server.started:
            time.sleep(0.02)

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)

    def tell(self, kind: str, data: dict) -> None:
        """Tell the room an event of the test's own."""
        self.loop.call_soon_threadsafe(self.twin.tell, kind, data)

    def beat(self, seconds: int = 1) -> None:
        """Take so many scans, a second each, with new noise."""
        for _ in range(seconds):
            self.now += 1.0
            self.seed += 1
            only = [tag for tag in self.meters.tags if tag not in self.silent]
            self.twin.loop.take(self.meters.scan(self.now, seed=self.seed, only=only if self.silent else None))
            asyncio.run_coroutine_threadsafe(self.twin.beat(self.now), self.loop).result(60)


@contextmanager
def lived(folder: Path):
    """Make the country's room, a quarter of an hour old, with a plan; one substation has long been silent."""
    net = sr.read("turkmenistan")
    meters = Meters(net)
    loop = Loop(net, meters.register, settings=Settings(inline=True))
    made = Lived(None, meters, None)
    shutil.copytree(PAGE, folder / "page")
    (folder / "plan.json").write_text(json.dumps(PLAN), encoding="utf-8")
    with historian.open(folder / "history") as store, site(folder, desk=_twin(loop, made, store, folder)) as opened:
        made.twin, made.app, made.clock = opened.desk, opened.app, opened.clock
        made.start()
        made.twin.loop.incidents = FOUND
        made.beat(3)
        table = net["instruments"]
        made.silent = frozenset(table.names[k] for k in range(len(table)) if str(table["station"][k]) == SILENT)
        for _ in range(3):  # past the delays of the record
            made.now += 300.0
            made.beat(2)
        store.publish()
        yield made
        made.stop()


def _twin(loop: Loop, made: Lived, store: object, folder: Path) -> Twin:
    around = Around(
        now=lambda: made.now, folder=folder, store=store, archive=folder / "history", plan=folder / "plan.json"
    )
    return Twin(loop, around)


def sign_in(page, address: str, name: str = "oper", view: str = "overview", **how: str) -> None:
    """Open the room as somebody and go to a view."""
    query = "&".join(f"{k}={v}" for k, v in how.items())
    page.set_default_timeout(90_000)  # a wait ends when what it waits for is there; others may have the machine
    page.goto(f"{address}/?{query}#{view}")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", WORDS)
    page.keyboard.press("Enter")
    page.wait_for_selector("#rail")
