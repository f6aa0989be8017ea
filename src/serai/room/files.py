# SPDX-License-Identifier: Apache-2.0
"""The page and its catalogues of words, read once at the start.

A request looks its address up in a table of files that were there; no path is ever put together from what a client
sends, so there is nothing to traverse.
"""

from __future__ import annotations

import json
import mimetypes
from typing import TYPE_CHECKING

from serai.errors import CaseError, Mistake
from serai.room.said import JSON, Kept, coded

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
FOR_EVER = "public, max-age=31536000, immutable"  # names under assets/ hold a hash of their content
ASK_AGAIN = "no-cache"


def read_page(folder: Path) -> dict[str, Kept]:
    """Return the files of the built page by address ("/", "/assets/index.js"); a plain page where there is none."""
    found: dict[str, Kept] = {}
    root = folder.resolve()
    for file in sorted(root.rglob("*")) if root.is_dir() else ():
        if not file.is_file() or not file.resolve().is_relative_to(root) or file.name.startswith("."):
            continue
        kind = TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        text = kind.startswith(TEXTS)
        found["/" + file.relative_to(root).as_posix()] = Kept.of(
            file.read_bytes(), f"{kind}; charset=utf-8" if text and "json" not in kind else kind, pack=text
        )
    if "/index.html" not in found:
        found["/index.html"] = Kept.of(NO_PAGE.encode(), "text/html; charset=utf-8")
    found["/"] = found["/index.html"]
    return found


def cache_of(path: str) -> str:
    """Return how long a browser may keep a file of the page."""
    return FOR_EVER if path.startswith("/assets/") else ASK_AGAIN


def read_words(folder: Path) -> dict[str, Kept]:
    """Return the catalogues by language, from files named after it ("tk.json")."""
    found = {}
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            catalogue = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CaseError(str(folder), [Mistake(file.name, 0, "", f"is no JSON: {error}")]) from None
        found[file.stem] = Kept.of(coded(catalogue), JSON)
    return found
