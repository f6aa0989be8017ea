# SPDX-License-Identifier: Apache-2.0
"""Frames on the socket between the loop and a room: length, then JSON. Small, and readable in a capture.

    client -> server   {"id": 7, "ask": "trend", "given": {...}}      {"id": 8, "subscribe": 1234 or null}
    server -> client   {"id": 7, "answer": ...}   {"id": 7, "refused": {...}}   {"event": [sequence, kind, data]}

The socket is a Unix socket in a folder that only its owner may enter; where the system has none, a port of this machine
and a token in a file that only its owner may read: the first frame must then be {"token": ...}.
"""

from __future__ import annotations

import json
from asyncio import IncompleteReadError
from typing import TYPE_CHECKING, Any

from serai.errors import SeraiError

if TYPE_CHECKING:
    from asyncio import StreamReader

LONGEST = 64 * 1024 * 1024  # bytes of a frame: a year's trend of twenty series is 10 MB
ASKED_AT_MOST = 1024 * 1024  # bytes of a question


def pack(message: Any) -> bytes:
    """Return a message as a frame; nan and infinity are refused, they are no JSON."""
    body = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return len(body).to_bytes(4, "big") + body


async def receive(reader: StreamReader, most: int = LONGEST) -> Any:
    """Return the next message, None at the end of the stream; SeraiError for what is no frame."""
    try:
        head = await reader.readexactly(4)
    except (IncompleteReadError, ConnectionError):
        return None
    size = int.from_bytes(head, "big")
    if size > most:
        raise SeraiError(f"a frame of {size} bytes: at most {most} are taken")
    try:
        return json.loads(await reader.readexactly(size))
    except (IncompleteReadError, ConnectionError):
        return None
    except ValueError as error:
        raise SeraiError(f"a frame that is no JSON: {error}") from None
