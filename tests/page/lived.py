# SPDX-License-Identifier: Apache-2.0
"""A control room of the whole country for tests in a browser: true estimates of a seeded run, a real server, people."""

from __future__ import annotations

import asyncio
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
from serai.twin.loop import Loop, Settings
from serai.twin.twin import Around, Twin
from twin.desks import START, Meters

PAGE = Path(sr.__file__).parent / "room" / "page"
FOUND = (os.environ.get("SERAI_CHROMIUM"), shutil.which("chromium"), shutil.which("chromium-browser"))
CHROMIUM = next(filter(None, FOUND), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-first-run"]
SILENT = "Malay substation"  # a station that stops sending: its tags go stale, which is an alarm


@dataclass
class Lived:
    """A twin that beats when the test says so, and its room behind a port."""

    twin: Twin
    meters: Meters
    app: object
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
    """Make the country's room, three scans old; one substation has then been silent for ten minutes."""
    net = sr.read("turkmenistan")
    meters = Meters(net)
    loop = Loop(net, meters.register, settings=Settings(inline=True))
    made = Lived(None, meters, None)
    made.twin = Twin(loop, Around(now=lambda: made.now, folder=folder))
    shutil.copytree(PAGE, folder / "page")
    with site(folder, desk=made.twin) as opened:
        made.app = opened.app
        made.start()
        made.beat(3)
        table = net["instruments"]
        made.silent = frozenset(table.names[k] for k in range(len(table)) if str(table["station"][k]) == SILENT)
        for _ in range(3):  # past the delays of the record
            made.now += 300.0
            made.beat(2)
        yield made
        made.stop()


def sign_in(page, address: str, name: str = "oper", view: str = "overview", **how: str) -> None:
    """Open the room as somebody and go to a view."""
    query = "&".join(f"{k}={v}" for k, v in how.items())
    page.goto(f"{address}/?{query}#{view}")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", WORDS)
    page.keyboard.press("Enter")
    page.wait_for_selector("#rail", timeout=60_000)
