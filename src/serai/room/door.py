# SPDX-License-Identifier: Apache-2.0
"""The door: who comes in. Every request passes it before anything else looks at it; what it does not know it refuses.

1. Host must be a name of this room (a page elsewhere that points its name at us is refused: DNS rebinding).
2. Below /api nobody without a session gets further than sign-in; that also hides which addresses exist.
3. Calls that change something come from our own page or from a program (Origin, Sec-Fetch-Site), and carry the
   session's CSRF token.
4. Requests of one account, or of one address, are limited.
5. Every answer leaves with headers that let a browser load nothing from elsewhere and keep nothing.

What a role may do stands at each call: `Depends(needs("permission"))`.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
import structlog
from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from serai.accounts import NOBODY, Session
from serai.errors import AccessRefused, SeraiError
from serai.room import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import APIRouter
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from serai.room.room import Room

log = structlog.get_logger("serai.room")

API = "/api/v1"
COOKIE = "serai_session"
CSRF = "x-serai-csrf"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# calls that need no session; those that change something need no CSRF token either, but must come from our own page
OPEN = frozenset({("GET", "session"), ("POST", "session"), ("POST", "first"), ("POST", "session/set")})
ALSO_SIGNED_OUT = frozenset({("DELETE", "session")})  # with a session they do need its token
OPEN_BELOW = "words/"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "style-src-attr 'unsafe-inline'; "  # widths of bars and places of labels; no style sheet, no script
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
LARGEST_BODY = 65_536  # bytes: every body of this API is a form of a few fields
LASTING = "max-age=31536000"  # over TLS: the browser comes back over TLS for a year


class Door:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, room: Room) -> None:
        self.app = app
        self.room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def sealed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._seal(scope, message)
            await send(message)

        try:
            await self._enter(scope)
            await self.app(scope, _bounded(receive), sealed)
        except Exception as error:
            if begun:  # the client sees the answer break off
                refusals.note(error, "fault in the middle of an answer")
                raise
            await refusals.of(error)(scope, receive, sealed)

    def _seal(self, scope: Scope, message: Message) -> None:
        """Add the headers that every answer has, and count it."""
        headers = MutableHeaders(scope=message)
        headers.update(HEADERS)
        if scope["path"].startswith("/api") and "cache-control" not in headers:
            headers["cache-control"] = "no-store"
        if scope["scheme"] == "https":
            headers["strict-transport-security"] = LASTING
        counted = self.room.responses
        counted[message["status"]] = counted.get(message["status"], 0) + 1

    async def _enter(self, scope: Scope) -> None:
        """Raise AccessRefused, or note in the scope who it is."""
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        if _host(headers.get("host", "")) not in self.room.options.hosts:
            raise AccessRefused("wrong-host", "this room is not known under that name", "Ask it by its own address")
        if not path.startswith("/api"):
            return
        token = _token(headers)
        session = self.room.accounts.session(token)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["session"], state["token"] = session, token
        self._limit(session, address(scope), path)
        if method not in SAFE:
            _from_our_page(headers)
        call = (method, path.removeprefix(API + "/"))
        if call in OPEN or (method == "GET" and call[1].startswith(OPEN_BELOW)):
            return
        if session is None:
            if call in ALSO_SIGNED_OUT:
                return
            raise AccessRefused("signed-out", "you are not signed in", "Sign in: POST /api/v1/session")
        if method not in SAFE and not hmac.compare_digest(headers.get(CSRF, "").encode(), session.csrf.encode()):
            raise AccessRefused("bad-csrf", "the call lacks the token of its session", f"Send `csrf` in {CSRF}")
        if session.idle:
            try:
                await anyio.to_thread.run_sync(self.room.accounts.note, session)
            except SeraiError as error:  # a full disk: the session ends earlier than it could
                log.warning("use of a session could not be noted", reason=str(error))

    def _limit(self, session: Session | None, caller: str, path: str) -> None:
        """Refuse requests that come too fast; streams of events have a limit of their own."""
        if path == f"{API}/events":
            return
        wait = self.room.buckets.wait(f"account {session.name}" if session else f"address {caller}")
        if wait:
            raise AccessRefused("too-fast", "too many requests", "Wait a moment", wait_s=wait)


def _bounded(receive: Receive) -> Receive:
    """Return a receive that refuses a body beyond the largest, however it is sent."""
    came = 0

    async def bounded() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > LARGEST_BODY:
            raise HTTPException(413)
        return message

    return bounded


def _host(header: str) -> str:
    """Return the name in a Host header, without the port and brackets."""
    name = header.rpartition(":")[0] if not header.endswith("]") and ":" in header else header
    return name.strip("[]").lower()


def _token(headers: Headers) -> str:
    """Return the session's token; "" when there are two: whoever can add a cookie must not choose the session."""
    found = [
        value
        for header in headers.getlist("cookie")
        for name, _, value in (part.strip().partition("=") for part in header.split(";"))
        if name == COOKIE
    ]
    return found[0] if len(found) == 1 else ""


def _from_our_page(headers: Headers) -> None:
    """Refuse what a browser sends on behalf of another page."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    same = site in {None, "same-origin", "none"}
    if origin is not None:
        same &= origin.partition("://")[2] == headers.get("host")
    if not same:
        raise AccessRefused("cross-site", "this call comes from another page", "Use the room's own page")


def address(scope: Scope) -> str:
    """Return the address that a request comes from; forwarding headers are not believed."""
    client = scope.get("client")
    return client[0] if client else "unknown"


def near(scope: Scope) -> bool:
    """Return whether a request comes from this machine itself, not through a proxy on it."""
    headers = Headers(scope=scope)
    if any(name in headers for name in ("forwarded", "x-forwarded-for", "via", "x-real-ip")):
        return False
    try:
        return ipaddress.ip_address(address(scope)).is_loopback
    except ValueError:
        return False


# ----------------------------------------------------------------------------------------------------- at each call


def signed_in(request: Request) -> Session:
    """Return who asks."""
    session: Session | None = request.scope["state"]["session"]
    if session is None:
        raise AccessRefused("signed-out", "you are not signed in", "Sign in: POST /api/v1/session")
    return session


Who = Annotated[Session, Depends(signed_in)]


def needs(permission: str) -> Any:
    """Return the dependency that lets in those whose roles grant a permission."""

    async def check(request: Request, session: Who) -> None:
        if permission not in session.permissions:
            room: Room = request.app.state.room
            where = f"{request.method} {request.url.path}"[:200]
            await room.record(session.name, "refused", where, needs=permission, roles=list(session.roles))
            raise AccessRefused(
                "forbidden",
                f"your roles ({', '.join(session.roles)}) do not permit this",
                f"It needs the permission {permission}; a security administrator gives roles",
            )

    check.permission = permission  # type: ignore[attr-defined] # read by `undeclared`
    return Depends(check)


def by_oneself() -> Any:
    """Return the dependency that lets in whoever is signed in: the call is about his own account."""

    def check(session: Who) -> None:
        """Let in who is signed in."""

    check.permission = "own account"  # type: ignore[attr-defined] # read by `undeclared`
    return Depends(check)


def open_to_all() -> Any:
    """Return the dependency that says: this call is meant for those who are not signed in, too."""

    def check() -> None:
        """Let everybody in."""

    check.permission = NOBODY  # type: ignore[attr-defined] # read by `undeclared`
    return Depends(check)


def undeclared(routers: Iterable[APIRouter]) -> list[str]:
    """Return the calls that do not say who may make them: an app with one is not made."""
    return [
        f"{'/'.join(sorted(route.methods or ())) if isinstance(route, APIRoute) else type(route).__name__} "
        f"{getattr(route, 'path', '')}"
        for router in routers
        for route in router.routes
        if not isinstance(route, APIRoute) or permission_of(route) is None
    ]


def permission_of(route: APIRoute) -> str | None:
    """Return the permission that a call asks for, NOBODY where it is open, None where it says nothing."""
    said = (getattr(d.dependency, "permission", None) for d in route.dependencies)
    return next((permission for permission in said if permission is not None), None)
