# SPDX-License-Identifier: Apache-2.0
"""Commands to the field: proposed, tried on the twin, confirmed a second time, then sent.

The desk tries a command and refuses what is too late, breaks a limit or is switched off at this site; here stands who
may do it, and that a second person confirms where the site asks for it.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from serai.errors import AccessRefused
from serai.room import shapes
from serai.room.door import Who, needs
from serai.room.given import Id, Limit
from serai.room.room import Here, Room
from serai.room.said import answers, plain
from serai.twin.desk import Plain, Refused

COMMAND = needs("command")
router = APIRouter(prefix="/commands", tags=["commands"])
LOOKED_AT = 1000  # newest commands among which a confirmed one must be


@router.get("", dependencies=[COMMAND], **answers(list[shapes.CommandShown]))
async def commands(room: Here, limit: Limit = 100) -> Response:
    """Commands, newest first."""
    return plain(await room.ask(room.desk.commands(limit)))


@router.post("", dependencies=[COMMAND], **answers(shapes.CommandShown, 404, 409, status=201))
async def propose(room: Here, who: Who, sent: shapes.Command) -> Response:
    """Propose a command; the answer holds what the twin says that it will do. Nothing is sent yet."""
    command = sent.model_dump()
    asked = room.desk.propose(command, who.name)
    return plain(await room.act(asked, who.name, "propose", f"{sent.quantity} of {sent.where}", command=command), 201)


@router.post("/{id}/confirm", dependencies=[COMMAND], **answers(shapes.CommandShown, 404, 409))
async def confirm(room: Here, who: Who, id: Id) -> Response:  # noqa: A002 - its name in the address
    """Confirm a command that was tried: it is sent to the field."""
    return plain(await room.act(_confirmed(room, id, who.name), who.name, "confirm", f"command {id}"))


@router.post("/{id}/withdraw", dependencies=[COMMAND], **answers(shapes.CommandShown, 404, 409))
async def withdraw(room: Here, who: Who, id: Id) -> Response:  # noqa: A002 - as above
    """Withdraw a command that is not confirmed."""
    return plain(await room.act(room.desk.withdraw(id, who.name), who.name, "withdraw", f"command {id}"))


async def _confirmed(room: Room, id: str, who: str) -> Plain:  # noqa: A002 - as above
    """Let the desk confirm; not by the person who proposed, where the site wants a second one."""
    if room.options.second_person:
        await _another(room, id, who)
    return await room.desk.confirm(id, who)


async def _another(room: Room, id: str, who: str) -> None:  # noqa: A002 - as above
    """Refuse to let one person propose and confirm."""
    found = await room.desk.commands(LOOKED_AT)
    command = next((c for c in found if c["id"] == id), None)
    if command is None:
        raise Refused("unknown", f"there is no command {id!r}", "GET commands lists them")
    if command["proposed_by"] == who:
        raise AccessRefused(
            "second-person", "this site asks for a second person to confirm", "Let another operator confirm it"
        )
