# SPDX-License-Identifier: Apache-2.0
"""One HTML file that needs no other: the frame of every page, and how it reaches the disk whole."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from serai.report.words import esc


def document(title: str, body: str, *styles: str) -> str:
    """Return a whole HTML file: `styles` are this package's style sheets beside the common one, in their order."""
    sheets = "".join((files("serai.report") / n).read_text(encoding="utf-8") for n in ("style.css", *styles))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        '<meta name="color-scheme" content="light dark"/>\n'
        f"<title>{esc(title)}</title>\n<style>\n{sheets}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def write_whole(html: str, where: str | os.PathLike[str]) -> Path:
    """Write a file that appears whole or not at all, and its folder; return where it is."""
    target = Path(where)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        partial.write_text(html, encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target
