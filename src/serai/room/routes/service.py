# SPDX-License-Identifier: Apache-2.0
"""How the whole does: for people, for monitoring; and the words of the page."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from serai.errors import AccessRefused
from serai.room import metrics, shapes
from serai.room.door import near, needs, open_to_all
from serai.room.room import Here
from serai.room.said import answers, plain
from serai.twin.desk import Refused

router = APIRouter(tags=["service"])
beside = APIRouter(include_in_schema=False)  # not below /api


@router.get("/health", dependencies=[needs("view")], **answers(shapes.Health))
async def health(room: Here) -> Response:
    """How loop, sources, history, processes and room do; a loop that does not answer is shown as down."""
    return plain(await room.health())


@router.get("/words/{language}", dependencies=[open_to_all()], **answers(None, 404))
async def words(request: Request, room: Here, language: Annotated[str, Path(pattern="^[a-z]{2,3}$")]) -> Response:
    """The words of the page in a language."""
    found = room.words.get(language)
    if found is None:
        raise Refused("unknown", f"there are no words in {language!r}", f"There are: {', '.join(room.words) or 'none'}")
    return found.answer(request, "no-cache")


@beside.get("/healthz", dependencies=[open_to_all()])
async def healthz(room: Here) -> Response:
    """Whether it runs, for a supervisor: counts only."""
    seen = room.hub.health_seen()
    return plain({"room": "up", "loop": "up" if room.hub.up else "down", **seen})


@beside.get("/metrics", dependencies=[open_to_all()])
async def figures(request: Request, room: Here) -> Response:
    """Figures for Prometheus: for this machine, or with the token of the site."""
    token = room.options.metrics_token
    sent = request.headers.get("authorization", "")
    known = token is not None and hmac.compare_digest(sent.encode(), f"Bearer {token}".encode())
    if not known and not near(request.scope):
        raise AccessRefused("forbidden", "figures are for this machine or with a token", "Send it as a bearer token")
    return Response(metrics.text(room, await room.health()), media_type=metrics.MEDIA)
