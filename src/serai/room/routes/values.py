# SPDX-License-Identifier: Apache-2.0
"""What there is, what is so, what was, what will be: everything that a viewer may see, and live events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from serai.errors import AccessRefused
from serai.room import arrow, shapes
from serai.room.door import needs
from serai.room.given import Day, Limit, Moment, Points, SeriesGiven, Span, iso
from serai.room.room import Here
from serai.room.said import answers, plain
from serai.room.stream import Stream

VIEW = needs("view")
router = APIRouter(tags=["values"])
KEPT = "private, no-cache"  # asks again each time, with the ETag


@router.get("/case", dependencies=[VIEW], **answers(shapes.CaseShown))
async def case(room: Here) -> Response:
    """What this room is about."""
    return plain({**await room.ask(room.desk.case()), "page": room.hub.page})


@router.get("/network", dependencies=[VIEW], **answers(shapes.NetworkShown))
async def network(request: Request, room: Here) -> Response:
    """All elements; has an ETag."""
    return (await room.kept("network", room.desk.network)).answer(request, KEPT)


@router.get("/layout", dependencies=[VIEW], **answers(shapes.Layout))
async def layout(request: Request, room: Here) -> Response:
    """The order of all live arrays; has an ETag."""
    return (await room.kept("layout", room.desk.layout)).answer(request, KEPT)


@router.get("/snapshot", dependencies=[VIEW], **answers(shapes.Snapshot, 404, arrow=True))
async def snapshot(request: Request, room: Here) -> Response:
    """The newest scan."""
    found = await room.ask(room.desk.snapshot())
    if arrow.wanted(request):
        return arrow.response(arrow.snapshot(found, await room.ask(room.desk.layout())))
    return plain(found)


@router.get("/instant", dependencies=[VIEW], **answers(shapes.Snapshot, 404, arrow=True))
async def instant(request: Request, room: Here, time: Moment) -> Response:
    """The scan as it was known at a time; 404 before the history begins (the message says when) and in its gaps."""
    found = await room.ask(room.desk.instant(iso(time)))
    if arrow.wanted(request):
        return arrow.response(arrow.snapshot(found, await room.ask(room.desk.layout())))
    return plain(found)


@router.get("/readings", dependencies=[VIEW], **answers(list[shapes.Reading], 404, arrow=True))
async def readings(
    request: Request,
    room: Here,
    where: Annotated[str | None, Query(min_length=1, max_length=200, description="An element.")] = None,
    tag: Annotated[str | None, Query(min_length=1, max_length=200, description="An instrument.")] = None,
    limit: Limit = 1000,
) -> Response:
    """The newest reading of every instrument at an element, of one tag, or of all."""
    found = await room.ask(room.desk.readings(where, tag, limit))
    return arrow.response(arrow.readings(found)) if arrow.wanted(request) else plain(found)


@router.get("/trend", dependencies=[VIEW], **answers(shapes.Trend, 404, arrow=True))
async def trend(request: Request, room: Here, series: SeriesGiven, span: Span, points: Points = 600) -> Response:
    """Measured and estimated values of series between two times."""
    found = await room.ask(room.desk.trend(series, *span, points))
    return arrow.response(arrow.trend(found)) if arrow.wanted(request) else plain(found)


@router.get("/diagnosis", dependencies=[VIEW], **answers(shapes.Diagnosis, 404))
async def diagnosis(room: Here) -> Response:
    """What is wrong, ranked, each with the set of elements that it may be."""
    return plain(await room.ask(room.desk.diagnosis()))


@router.get("/ahead", dependencies=[VIEW], **answers(shapes.Ahead, 404))
async def ahead(room: Here) -> Response:
    """The hours to come, and when which limit is reached."""
    return plain(await room.ask(room.desk.ahead()))


@router.get("/outages", dependencies=[VIEW], **answers(shapes.Outages, 404))
async def outages(room: Here) -> Response:
    """What every single loss would do now."""
    return plain(await room.ask(room.desk.outages()))


@router.get("/sheets", dependencies=[VIEW], **answers(shapes.Sheets, 404))
async def sheets(room: Here, day: Day | None = None) -> Response:
    """The balance sheets of a day; not given = today so far."""
    return plain(await room.ask(room.desk.sheets(None if day is None else day.isoformat())))


@router.get("/plan", dependencies=[VIEW], **answers(shapes.Plan, 404))
async def plan(room: Here) -> Response:
    """The last computed plan."""
    return plain(await room.ask(room.desk.plan()))


@router.get("/events", dependencies=[VIEW], **answers(None))
async def events(
    request: Request,
    room: Here,
    last_event_id: Annotated[str | None, Header(max_length=40, description="Number of the last event seen.")] = None,
) -> Response:
    """Live events (text/event-stream): hello, scan, alarm, tally, health, diagnosis, ahead, outages, log, command."""
    if len(room.hub.clients) >= room.options.clients:
        raise AccessRefused("full", f"{room.options.clients} streams are open already", "Try again", wait_s=10.0)
    after = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdecimal() else None
    zipped = "gzip" in request.headers.get("accept-encoding", "")
    client = room.hub.join(request.scope["state"]["token"], zipped=zipped, after=after)
    return Stream(room.hub, client)
