# SPDX-License-Identifier: Apache-2.0
"""The shift log, notes, and the audit."""

from __future__ import annotations

from math import inf

from fastapi import APIRouter
from starlette.responses import Response

from serai.room import shapes, trail
from serai.room.door import Who, needs
from serai.room.given import Limit, Moment, iso
from serai.room.room import Here
from serai.room.said import answers, plain

VIEW, WRITE, READ = needs("view"), needs("write-log"), needs("read-audit")
router = APIRouter(tags=["records"])


@router.get("/log", dependencies=[VIEW], **answers(list[shapes.Entry]))
async def log(room: Here, start: Moment | None = None, end: Moment | None = None, limit: Limit = 1000) -> Response:
    """Entries of the shift log, newest first."""
    first, last = (None if when is None else iso(when) for when in (start, end))
    return plain(await room.ask(room.desk.log(first, last, limit)))


@router.post("/log", dependencies=[WRITE], **answers(shapes.Entry, 404, status=201))
async def write(room: Here, who: Who, sent: shapes.Text) -> Response:
    """Write into the shift log."""
    asked = room.desk.write(sent.text, who.name, sent.subject)
    return plain(await room.act(asked, who.name, "write into the log", sent.subject, text=sent.text), 201)


@router.post("/notes", dependencies=[WRITE], **answers(shapes.Entry, 404, status=201))
async def note(room: Here, who: Who, sent: shapes.Note) -> Response:
    """Write a note on an alarm or an element."""
    asked = room.desk.annotate(sent.subject, sent.text, who.name)
    return plain(await room.act(asked, who.name, "write a note", sent.subject, text=sent.text), 201)


@router.get("/audit", dependencies=[READ], **answers(shapes.Records))
async def audit(room: Here, start: Moment | None = None, end: Moment | None = None, limit: Limit = 1000) -> Response:
    """The newest records of the audit between two times, oldest first: this room's and those of the same folder."""
    first, last = -inf if start is None else start.timestamp(), inf if end is None else end.timestamp()
    return plain({"records": await room.of_accounts(lambda: trail.records(room.audit, first, last, limit))})


@router.get("/audit/verify", dependencies=[READ], **answers(shapes.Verdict))
async def verify(room: Here) -> Response:
    """Whether every log of the audit is whole: chain, numbers, signatures, the head beside it."""
    return plain(await room.of_accounts(lambda: trail.verified(room.audit)))
