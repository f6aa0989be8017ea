# SPDX-License-Identifier: Apache-2.0
"""How answers leave: JSON without a detour, kept ones with an ETag, and what OpenAPI says of each call."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from serai.room.arrow import MEDIA
from serai.room.shapes import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

JSON = "application/json"
ALWAYS = (400, 401, 403, 413, 422, 429, 503)  # what every call may be refused with
PACKED_FROM = 1024  # bytes: less is not worth packing


def coded(data: Any) -> bytes:
    """Return JSON; ValueError for a number that JSON does not have (the desk gives None for what is not known)."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def plain(data: Any, status: int = 200) -> Response:
    """Return an answer of the desk as it is."""
    return Response(coded(data), status, media_type=JSON)


def answers(model: Any, *refused: int, arrow: bool = False, status: int = 200) -> dict[str, Any]:
    """Return what a route says of its answers in OpenAPI, for the arguments of its decorator."""
    found: dict[int | str, dict[str, Any]] = {code: {"model": Refusal} for code in (*ALWAYS, *refused)}
    if model is not None:
        found[status] = {"model": model}
    if arrow:
        found[status]["content"] = {MEDIA: {"schema": {"type": "string", "format": "binary"}}}
    return {"responses": found, "response_model": None, "status_code": status}


@dataclass(frozen=True, slots=True)
class Kept:
    """A body that many ask for and that seldom changes: coded, packed and hashed once."""

    body: bytes
    packed: Mapping[str, bytes]  # by content coding
    etag: str
    media_type: str

    @classmethod
    def of(cls, body: bytes, media_type: str = JSON, *, packed: Mapping[str, bytes] | None = None) -> Kept:
        """Keep a body; `packed` = its packed forms by content coding, not given = packed here where it is worth it."""
        if packed is None:
            packed = {"gzip": gzip.compress(body, 6, mtime=0)} if len(body) >= PACKED_FROM else {}
        return cls(body, packed, f'"{sha256(body).hexdigest()[:32]}"', media_type)

    def answer(self, request: Request, cache: str) -> Response:
        """Return it, or 304 where the client has it already."""
        headers = {"etag": self.etag, "cache-control": cache, "vary": "Accept-Encoding"}
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        taken = {coding.partition(";")[0].strip() for coding in request.headers.get("accept-encoding", "").split(",")}
        for coding in ("br", "gzip"):
            if coding in taken and coding in self.packed:
                return Response(self.packed[coding], 200, {**headers, "content-encoding": coding}, self.media_type)
        return Response(self.body, 200, headers, self.media_type)
