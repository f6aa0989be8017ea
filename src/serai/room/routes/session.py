# SPDX-License-Identifier: Apache-2.0
"""Signing in and out, one's own password, one-time links."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from serai.accounts import Session
from serai.room.door import COOKIE, Who, address, by_oneself, open_to_all
from serai.room.room import Here, Room
from serai.room.said import answers, plain
from serai.room.shapes import ChangePassword, First, SetPassword, SignedIn, SignIn
from serai.units import iso

router = APIRouter(tags=["session"])


def _shown(room: Room, session: Session | None) -> dict[str, object]:
    if session is None:
        return {
            "signed_in": False, "name": None, "roles": [], "permissions": [], "csrf": None, "expires": None,
            "first_run": room.accounts.empty(),
        }  # fmt: skip
    return {
        "signed_in": True, "name": session.name, "roles": list(session.roles),
        "permissions": sorted(session.permissions), "csrf": session.csrf, "expires": iso(session.expires),
        "first_run": False,
    }  # fmt: skip


def _begun(request: Request, room: Room, token: str) -> Response:
    """Answer with the session of a new token, and put the token where no script reads it."""
    response = plain(_shown(room, room.accounts.session(token)))
    response.set_cookie(
        COOKIE, token, max_age=round(room.accounts.lifetimes.longest_s), path="/", httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return response


@router.get("/session", dependencies=[open_to_all()], **answers(SignedIn))
async def session(request: Request, room: Here) -> Response:
    """Who is signed in, and the token that calls which change something must carry."""
    return plain(_shown(room, request.scope["state"]["session"]))


@router.post("/session", dependencies=[open_to_all()], **answers(SignedIn))
async def sign_in(request: Request, room: Here, sent: SignIn) -> Response:
    """Sign in. The session that the browser had before ends; the new one has a token that nobody has seen."""
    old, caller = request.scope["state"]["token"], address(request.scope)
    token = await room.of_accounts(
        lambda: room.accounts.sign_in(sent.name, sent.password, caller, replaces=old), hashes=True
    )
    return _begun(request, room, token)


@router.delete("/session", dependencies=[open_to_all()], **answers(None, status=204))
async def sign_out(request: Request, room: Here) -> Response:
    """Sign out."""
    token = request.scope["state"]["token"]
    await room.of_accounts(lambda: room.accounts.sign_out(token))
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@router.post("/session/password", dependencies=[by_oneself()], **answers(SignedIn))
async def change_password(request: Request, room: Here, who: Who, sent: ChangePassword) -> Response:
    """Change one's own password; every session of the account ends, this one goes on under a new token."""
    caller = address(request.scope)
    token = await room.of_accounts(lambda: room.accounts.change_password(who, sent.old, sent.new, caller), hashes=True)
    return _begun(request, room, token)


@router.post("/session/set", dependencies=[open_to_all()], **answers(None, status=204))
async def set_password(room: Here, sent: SetPassword) -> Response:
    """Set the password of the account that a one-time link is for; then sign in."""
    await room.of_accounts(lambda: room.accounts.set_password(sent.token, sent.password), hashes=True)
    return Response(status_code=204)


@router.post("/first", dependencies=[open_to_all()], **answers(None, status=204))
async def first(room: Here, sent: First) -> Response:
    """Make the first account, a security administrator, with the one-time link printed at first start."""
    await room.of_accounts(lambda: room.accounts.first(sent.token, sent.name, sent.password), hashes=True)
    return Response(status_code=204)
