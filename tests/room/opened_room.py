# SPDX-License-Identifier: Apache-2.0
"""A room for tests: the small desk, people of every role, a real audit; asked in this process or over a socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import httpx
import uvicorn

from accounts.opened import WORDS, Clock, opened
from room.small_desk import SmallDesk
from serai.accounts import ADMINISTRATOR
from serai.room import Options, create, trail

PEOPLE = {
    "vera": ["viewer"],
    "oper": ["operator"],
    "olga": ["operator"],
    "engin": ["engineer"],
    "secadm": [ADMINISTRATOR],
    "secaud": ["security auditor"],
}
BASE = "http://127.0.0.1"
API = "/api/v1"


@dataclass
class Site:
    """Everything of one room."""

    desk: SmallDesk
    accounts: object
    audit: object
    app: object
    clock: Clock
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def room(self):
        return self.app.state.room

    def client(self, name: str | None = None, **options) -> httpx.AsyncClient:
        """Return a client in this process, signed in as `name` (without going through sign-in)."""
        address = options.pop("address", "127.0.0.1")
        transport = httpx.ASGITransport(self.app, client=(address, 40000), raise_app_exceptions=False)
        made = httpx.AsyncClient(transport=transport, base_url=options.pop("base", BASE), **options)
        if name is not None:
            self.sign_in(name)
            session = self.accounts.session(self.tokens[name])
            made.cookies.set("serai_session", self.tokens[name], domain="127.0.0.1")
            made.headers["x-serai-csrf"] = session.csrf
        return made

    def sign_in(self, name: str) -> str:
        if name not in self.tokens:
            self.tokens[name] = self.accounts.sign_in(name, WORDS, "127.0.0.1")
        return self.tokens[name]

    def recorded(self):
        """Return (who, what, about) of the audit, without its own heads."""
        return [(r.who, r.what, dict(r.about)) for r in self.audit.records() if r.what not in {"head", "opened"}]


@contextmanager
def site(folder, *, desk=None, **options):
    """Make a room with people of every role; a clock that the test moves."""
    audit = trail.opened(folder, "room")
    accounts, clock, _ = opened(folder)
    accounts._append = audit.append
    accounts.first(accounts.first_link(), "admin-one", WORDS)
    for name, roles in PEOPLE.items():
        accounts.add(name, roles, by="admin-one", password=WORDS)
    desk = desk or SmallDesk()
    made = Options(page=folder / "page", **options)
    yield Site(desk, accounts, audit, create(desk, accounts, audit, made), clock)
    accounts.close()
    audit.close()


@asynccontextmanager
async def running(app):
    """Run the app's own tasks (the hub, the beats) in this loop, without a socket."""
    async with app.router.lifespan_context(app):
        await asyncio.sleep(0)
        yield


@contextmanager
def served(app, **config):
    """Serve an app on a free port of 127.0.0.1, in a thread; yields the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, ws="none", **config))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


def visit(made: Site, *scenes, listening: bool = False):
    """Run scenes (name, async function of a signed-in client) one after the other in one event loop."""

    async def all_of_them():
        async with asyncio.timeout(60):
            if listening:
                async with running(made.app):
                    return [await _one(made, *scene) for scene in scenes]
            return [await _one(made, *scene) for scene in scenes]

    return asyncio.run(all_of_them())


async def _one(made: Site, name, scene):
    async with made.client(name) as client:
        return await scene(client)


def get(path: str, **options):
    """Return a scene that asks for one path of the API."""

    async def scene(client):
        return await client.get(API + path, **options)

    return scene


def post(path: str, **options):
    """Return a scene that posts to one path of the API."""

    async def scene(client):
        return await client.post(API + path, **options)

    return scene


def kind(response) -> str:
    """Return the kind of a refusal, after checking its shape."""
    error = response.json()["error"]
    assert set(error) == {"kind", "message", "what_to_do"}
    return error["kind"]
