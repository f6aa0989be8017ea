# SPDX-License-Identifier: Apache-2.0
"""The page, read once at the start.

A request looks its address up in a table of files that were there; no path is ever put together from what a client
sends, so there is nothing to traverse.
"""

from __future__ import annotations

import json
import mimetypes
from typing import TYPE_CHECKING

from serai.room.said import Kept

if TYPE_CHECKING:
    from pathlib import Path

NO_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Serai</title>
<h1>Serai</h1>
<p>The server of the control room runs. Its page is not built: run <code>npm ci &amp;&amp; npm run build</code> in
<code>web/</code>, then start the room again.</p>
<p>Programs use <code>/api/v1</code>; sign in first, then <code>/api/v1/openapi.json</code> describes every call.</p>
</html>
"""
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
         ".woff2": "font/woff2", ".webmanifest": "application/manifest+json"}  # fmt: skip
TEXTS = ("text/", "application/json", "application/manifest+json", "image/svg+xml")
PACKED = {".br": "br", ".gz": "gzip"}
FOR_EVER = "public, max-age=31536000, immutable"  # names under assets/ hold a hash of their content
ASK_AGAIN = "no-cache"


def read_page(folder: Path) -> dict[str, Kept]:
    """Return the files of the built page by address ("/", "/assets/index.js"); a plain page where there is none.

    What the build packed beside a file ("index.js.br", "index.js.gz") is served to those who take it.
    """
    root = folder.resolve()
    files = {
        file.relative_to(root).as_posix(): file
        for file in sorted(root.rglob("*") if root.is_dir() else ())
        if file.is_file() and file.resolve().is_relative_to(root) and not file.name.startswith(".")
    }
    found = {
        f"/{name}": _kept(file, {coding: files[name + end] for end, coding in PACKED.items() if name + end in files})
        for name, file in files.items()
        if file.suffix not in PACKED
    }
    if "/index.html" not in found:
        found["/index.html"] = Kept.of(NO_PAGE.encode(), "text/html; charset=utf-8")
    found["/"] = found["/index.html"]
    return found


def _kept(file: Path, packed: dict[str, Path]) -> Kept:
    kind = TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    text = kind.startswith(TEXTS)
    beside = {coding: path.read_bytes() for coding, path in packed.items()}
    return Kept.of(
        file.read_bytes(),
        f"{kind}; charset=utf-8" if text and "json" not in kind else kind,
        packed=None if text and not beside else beside,
    )


def version_of(page: dict[str, Kept]) -> str | None:
    """Return the version that the build gave the page, so that an old page in a browser sees that it is old."""
    try:
        return str(json.loads(page["/build.json"].body)["version"])
    except (KeyError, ValueError, TypeError):
        return None


def cache_of(path: str) -> str:
    """Return how long a browser may keep a file of the page."""
    return FOR_EVER if path.startswith("/assets/") else ASK_AGAIN
