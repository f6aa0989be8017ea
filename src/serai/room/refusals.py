# SPDX-License-Identifier: Apache-2.0
"""What a client gets when it does not get what it asked for: one shape, a status, no secret and no traceback."""

from __future__ import annotations

import json
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from serai.errors import AccessRefused, BadTimes, NotStored, SeraiError, UnknownName
from serai.twin.desk import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

log = structlog.get_logger("serai.room")

OF_DESK = {
    "unknown": 404, "invalid": 422, "conflict": 409, "not-ready": 404, "unavailable": 503, "denied": 403, "fault": 500,
}  # fmt: skip
OF_ACCESS = {
    "signed-out": 401, "wrong-password": 401, "locked-out": 429, "too-fast": 429, "unknown-account": 404,
    "unknown-role": 422, "no-role": 422, "bad-name": 422, "weak-password": 422,
    "roles-apart": 409, "name-taken": 409, "last-administrator": 409, "full": 503,
}  # fmt: skip
OF_OTHERS: dict[type[Exception], tuple[int, str, str]] = {
    NotStored: (503, "not-stored", "Make room on the disk or start the database, then try again"),
    UnknownName: (404, "unknown", ""),
    BadTimes: (422, "invalid", ""),
    SeraiError: (409, "refused", ""),
}
FORBIDDEN = 403  # every other kind of AccessRefused


def answer(status: int, kind: str, message: str, what_to_do: str = "", *, wait_s: float = 0.0) -> Response:
    """Return a refusal in the one shape: {"error": {"kind", "message", "what_to_do"}}."""
    body = {"error": {"kind": kind, "message": message, "what_to_do": what_to_do}}
    headers = {"retry-after": str(max(1, round(wait_s)))} if wait_s else {}
    # a lone surrogate from the address of a request has no UTF-8: written as JSON's escape
    return Response(json.dumps(body), status, headers, "application/json")


def of(error: Exception) -> Response:
    """Return what an error is for a client."""
    if isinstance(error, AccessRefused):
        status = OF_ACCESS.get(error.kind, FORBIDDEN)
        return answer(status, error.kind, error.message, error.what_to_do, wait_s=error.wait_s)
    if isinstance(error, Refused):
        return answer(OF_DESK[error.reason], error.reason, error.message, error.what_to_do)
    if isinstance(error, TimeoutError):
        return answer(503, "unavailable", "the loop did not answer in time", "GET health says how it is", wait_s=5)
    for kind, (status, word, help_) in OF_OTHERS.items():
        if isinstance(error, kind):
            return answer(status, word, str(error), help_)
    note(error, "fault")
    name = type(error).__name__
    return answer(500, "fault", f"a fault of Serai ({name})", "Look into the log of the room's server")


def note(error: Exception, what: str) -> None:
    """Log a fault: where it happened, without the values that it happened with, for they may be a password."""
    log.error(what, traceback="".join(format_exception(error)))


def _invalid(error: RequestValidationError) -> Response:
    """Say what does not fit and where; what was sent is not repeated, it may be a password."""
    said = [f"{'.'.join(str(p) for p in e['loc'][1:]) or e['loc'][0]}: {e['msg']}" for e in error.errors()[:10]]
    return answer(422, "invalid", "; ".join(said), "/api/v1/openapi.json describes every call")


def _http(status: int, headers: Mapping[str, str] | None) -> Response:
    kind, message, help_ = {
        400: ("invalid", "the body is no JSON that can be read", "Send application/json"),
        404: ("unknown", "there is nothing at this address", "/api/v1/openapi.json lists every call"),
        405: ("no-such-method", "this address does not take this method", "/api/v1/openapi.json lists every call"),
        413: ("too-large", "the request is too large", "Send less at once"),
    }.get(status, ("refused", f"refused with status {status}", ""))
    response = answer(status, kind, message, help_)
    response.headers.update(headers or {})
    return response


def install(app: FastAPI) -> None:
    """Make `app` answer all errors in the one shape."""

    async def ours(_: Request, error: Any) -> Response:
        return of(error)

    async def invalid(_: Request, error: Any) -> Response:
        return _invalid(error)

    async def http(_: Request, error: Any) -> Response:
        return _http(error.status_code, error.headers)

    for kind in (SeraiError, TimeoutError):
        app.add_exception_handler(kind, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
