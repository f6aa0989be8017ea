# SPDX-License-Identifier: Apache-2.0
"""The app: a desk, accounts and an audit, put behind one door and served over HTTP."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.routing import Route

from serai.errors import SeraiError
from serai.room import files, refusals
from serai.room.door import API, Door, undeclared
from serai.room.events import Hub
from serai.room.limits import Buckets
from serai.room.room import Options, Room
from serai.room.routes import accounts as accounts_routes
from serai.room.routes import alarms, commands, records, service, session, values
from serai.room.said import Kept, coded
from serai.room.stream import beats
from serai.room.words import LANGUAGES, catalogue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response

    from serai.accounts import Accounts
    from serai.audit import Audit
    from serai.twin.desk import Desk

ROUTERS = (
    session.router, accounts_routes.router, values.router, alarms.router, commands.router, records.router,
    service.router,
)  # fmt: skip
# nothing is told to anybody outside, whatever the environment says; figures are at /metrics
NO_TELEMETRY: TelemetryConfig = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False,
}  # fmt: skip


def create(desk: Desk, accounts: Accounts, audit: Audit, options: Options | None = None) -> FastAPI:
    """Return the app of a room; it listens to the desk while it runs. SeraiError when a call says not who may make it.

    The caller closes accounts and audit after the app has ended.
    """
    from serai import __version__  # noqa: PLC0415 - known when the package is whole

    careless = undeclared((*ROUTERS, service.beside))
    if careless:
        raise SeraiError(f"these calls do not say who may make them: {', '.join(careless)}")
    options = options or Options()
    page = files.read_page(options.page)
    hub = Hub(desk, page=files.version_of(page))
    room = Room(
        desk, accounts, audit, hub, options, Buckets(options.per_second, options.burst),
        page=page, words={language: Kept.of(coded(catalogue(language))) for language in LANGUAGES},
    )  # fmt: skip
    hub.changed.append(room.forget)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(hub.run()), asyncio.create_task(beats(room))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="Serai control room", version=__version__,
        summary="Live values, alarms, diagnosis and commands of a site",
        openapi_url=f"{API}/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False,
        lifespan=running, telemetry=NO_TELEMETRY,
    )  # fmt: skip
    app.state.room = room
    refusals.install(app)
    app.add_middleware(Door, room=room)
    for router in ROUTERS:
        app.include_router(router, prefix=API)
    app.include_router(service.beside)
    app.router.routes.append(Route("/{path:path}", _page, methods=["GET", "HEAD"]))
    return app


async def _page(request: Request) -> Response:
    """Answer with a file of the page, if its address stands in the table."""
    room: Room = request.app.state.room
    found = room.page.get(request.scope["path"])
    if found is None:
        raise HTTPException(404)
    return found.answer(request, files.cache_of(request.scope["path"]))
