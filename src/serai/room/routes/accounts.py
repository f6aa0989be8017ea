# SPDX-License-Identifier: Apache-2.0
"""Administration of accounts. Nobody here ever learns a password: owners set theirs at a one-time link."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from serai.accounts import Account
from serai.room.door import Who, needs
from serai.room.given import Name
from serai.room.room import Here, Room
from serai.room.said import answers, plain
from serai.room.shapes import AccountShown, AccountsShown, ChangedAccount, Ended, Link, NewAccount
from serai.units import iso

router = APIRouter(prefix="/accounts", tags=["accounts"], dependencies=[])
MANAGED = needs("manage-accounts")


def _shown(account: Account) -> dict[str, object]:
    return {
        "name": account.name, "roles": list(account.roles), "disabled": account.disabled, "ready": account.ready,
        "created": iso(account.created), "changed": iso(account.changed),
        "seen": None if account.seen is None else iso(account.seen),
    }  # fmt: skip


def _link(room: Room, name: str, token: str) -> Response:
    expires = iso(room.accounts.clock() + room.accounts.lifetimes.link_s)
    return plain({"name": name, "link": f"/#password={token}", "expires": expires}, 201)


@router.get("", dependencies=[MANAGED], **answers(AccountsShown))
async def accounts(room: Here) -> Response:
    """All accounts, and what each role permits."""
    found = await room.of_accounts(room.accounts.list)
    roles = {role: sorted(granted) for role, granted in room.accounts.roles.grants.items()}
    return plain({"accounts": [_shown(a) for a in found], "roles": roles})


@router.post("", dependencies=[MANAGED], **answers(Link, 409, status=201))
async def add(room: Here, who: Who, sent: NewAccount) -> Response:
    """Add an account; give the one-time link that is answered to its owner."""

    def both() -> tuple[str, str]:
        name = room.accounts.add(sent.name, sent.roles, by=who.name).name
        return name, room.accounts.password_link(name, by=who.name)

    return _link(room, *await room.of_accounts(both))


@router.patch("/{name}", dependencies=[MANAGED], **answers(AccountShown, 404, 409))
async def change(room: Here, who: Who, name: Name, sent: ChangedAccount) -> Response:
    """Change roles, disable or enable; the sessions of the account end."""
    changed = await room.of_accounts(
        lambda: room.accounts.change(name, by=who.name, held=sent.roles, disabled=sent.disabled)
    )
    return plain(_shown(changed))


@router.delete("/{name}", dependencies=[MANAGED], **answers(None, 404, 409, status=204))
async def remove(room: Here, who: Who, name: Name) -> Response:
    """Remove an account; what it did stays in the audit."""
    await room.of_accounts(lambda: room.accounts.remove(name, by=who.name))
    return Response(status_code=204)


@router.post("/{name}/revoke", dependencies=[MANAGED], **answers(Ended, 404))
async def revoke(room: Here, who: Who, name: Name) -> Response:
    """End every session of an account."""
    ended = await room.of_accounts(lambda: room.accounts.revoke(name, by=who.name))
    return plain({"name": name, "sessions_ended": ended})


@router.post("/{name}/link", dependencies=[MANAGED], **answers(Link, 404, status=201))
async def link(room: Here, who: Who, name: Name) -> Response:
    """Make a one-time link at which the owner sets a new password."""
    return _link(room, name, await room.of_accounts(lambda: room.accounts.password_link(name, by=who.name)))
