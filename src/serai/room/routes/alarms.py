# SPDX-License-Identifier: Apache-2.0
"""Alarms: what stands, what happened, and what people do about it. Who asked is recorded before it is done."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from serai.room import arrow, shapes
from serai.room.door import Who, needs
from serai.room.given import Id, Limit, Span, iso
from serai.room.room import Here
from serai.room.said import answers, plain

VIEW, HANDLE, CONFIGURE = needs("view"), needs("handle-alarms"), needs("configure-alarms")
DONE = answers(shapes.AlarmShown, 404, 409)
router = APIRouter(prefix="/alarms", tags=["alarms"])
States = Annotated[list[str], Query(max_length=7, description="Given once for each state; none = all but normal.")]


@router.get("", dependencies=[VIEW], **answers(list[shapes.AlarmShown]))
async def alarms(room: Here, state: States = [], limit: Limit = 1000) -> Response:  # noqa: B006 - FastAPI copies it
    """The alarms that stand."""
    return plain(await room.ask(room.desk.alarms(state, limit)))


@router.get("/history", dependencies=[VIEW], **answers(list[shapes.Happened], arrow=True))
async def history(request: Request, room: Here, span: Span, limit: Limit = 1000) -> Response:
    """What happened to alarms between two times."""
    found = await room.ask(room.desk.alarm_history(*span, limit))
    return arrow.response(arrow.history(found)) if arrow.wanted(request) else plain(found)


@router.get("/figures", dependencies=[VIEW], **answers(shapes.AlarmFigures))
async def figures(room: Here) -> Response:
    """The figures after EEMUA 191."""
    return plain(await room.ask(room.desk.alarm_figures()))


@router.get("/{id}", dependencies=[VIEW], **answers(shapes.AlarmShown, 404))
async def alarm(room: Here, id: Id) -> Response:  # noqa: A002 - its name in the address
    """One alarm."""
    return plain(await room.ask(room.desk.alarm(id)))


@router.post("/{id}/acknowledge", dependencies=[HANDLE], **DONE)
async def acknowledge(room: Here, who: Who, id: Id) -> Response:  # noqa: A002 - as above
    """Acknowledge: I have seen it and deal with it."""
    asked = room.desk.acknowledge(id, who.name)
    return plain(await room.act(asked, who.name, "acknowledge", f"alarm {id}"))


@router.post("/{id}/shelve", dependencies=[HANDLE], **DONE)
async def shelve(room: Here, who: Who, id: Id, sent: shapes.Shelve) -> Response:  # noqa: A002 - as above
    """Shelve for some minutes; it comes back by itself."""
    asked = room.desk.shelve(id, who.name, sent.minutes, sent.reason)
    return plain(await room.act(asked, who.name, "shelve", f"alarm {id}", minutes=sent.minutes, reason=sent.reason))


@router.post("/{id}/unshelve", dependencies=[HANDLE], **DONE)
async def unshelve(room: Here, who: Who, id: Id) -> Response:  # noqa: A002 - as above
    """Bring a shelved alarm back."""
    asked = room.desk.unshelve(id, who.name)
    return plain(await room.act(asked, who.name, "unshelve", f"alarm {id}"))


@router.post("/{id}/suppress", dependencies=[CONFIGURE], **DONE)
async def suppress(room: Here, who: Who, id: Id, sent: shapes.Suppress) -> Response:  # noqa: A002 - as above
    """Suppress by design until a time."""
    until = iso(sent.until)
    asked = room.desk.suppress(id, who.name, sent.reason, until)
    return plain(await room.act(asked, who.name, "suppress", f"alarm {id}", reason=sent.reason, until=until))


@router.post("/{id}/out-of-service", dependencies=[CONFIGURE], **DONE)
async def out_of_service(room: Here, who: Who, id: Id, sent: shapes.OutOfService) -> Response:  # noqa: A002 - as above
    """Take out of service under a permit."""
    asked = room.desk.out_of_service(id, who.name, sent.reason, sent.permit)
    about = {"permit": sent.permit, "reason": sent.reason}
    return plain(await room.act(asked, who.name, "take out of service", f"alarm {id}", **about))


@router.post("/{id}/into-service", dependencies=[CONFIGURE], **DONE)
async def into_service(room: Here, who: Who, id: Id, sent: shapes.IntoService) -> Response:  # noqa: A002 - as above
    """Put back into service."""
    asked = room.desk.into_service(id, who.name, sent.reason)
    return plain(await room.act(asked, who.name, "put into service", f"alarm {id}", reason=sent.reason))
