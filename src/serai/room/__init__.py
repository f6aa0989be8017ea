# SPDX-License-Identifier: Apache-2.0
"""The control room's server: what the twin knows, over HTTP, for those who may see it.

app = create(desk, accounts, audit)          # an ASGI app: FastAPI, OpenAPI at /api/v1/openapi.json
serve(app, "127.0.0.1", 8080)                # or any ASGI server
"""

from __future__ import annotations

from serai.room.app import create
from serai.room.room import Options

__all__ = ["Options", "create"]
