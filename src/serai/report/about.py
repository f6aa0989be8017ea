# SPDX-License-Identifier: Apache-2.0
"""What a case says about itself: its Markdown as HTML that is safe, with the facts that its marks name."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML

from serai.report.words import MINUS, esc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

MARK = re.compile(r"\[([^\[\]]+)\]")
NEGATIVE = re.compile(r"(?<![\w-])-(?=\d)")
CUBIC = re.compile(r"\bm3\b")
SPAN = re.compile(r"(.*?)(\d+) to \1(\d+)")  # ring1 to ring5


class _Renderer(RendererHTML):
    """Markdown for a page that loads nothing: links and pictures become text, texts in brackets quiet marks."""

    def text(self, tokens: Sequence[Token], k: int, *_: Any) -> str:
        """Return escaped text with its marks, a true minus and cubic metres."""
        said = CUBIC.sub("m\u00b3", NEGATIVE.sub(MINUS, tokens[k].content))
        return MARK.sub(r'<span class="fact">[\1]</span>', esc(said))

    def image(self, tokens: Sequence[Token], k: int, *_: Any) -> str:
        """Return what a picture shows, in words."""
        return esc(tokens[k].content)

    def link_open(self, *_: Any) -> str:
        """Return nothing: the text of the link stays."""
        return ""

    link_close = link_open


def html(markdown: str) -> str:
    r"""Return Markdown as HTML: without its title, headings of one size, nothing that leads out, all else escaped.

    >>> print(html("# Title\n\n## Part\n\nSee [the file](x.md): **35** & more [galkynysh]."), end="")
    <h3>Part</h3>
    <p>See the file: <strong>35</strong> &amp; more <span class="fact">[galkynysh]</span>.</p>
    """
    reader = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    tokens = reader.parse(markdown)
    if tokens and tokens[0].tag == "h1":
        del tokens[:3]  # opens, text, closes
    for token in tokens:
        if token.type.startswith("heading"):
            token.tag = "h3"
    return str(reader.renderer.render(tokens, reader.options, {}))


def named_facts(markdown: str, facts: str) -> list[dict[str, str]]:
    r"""Return the rows of a facts file (CSV with a column `entry`) that the marks of a text name, in its order.

    >>> [f["entry"] for f in named_facts("Ring [r1 to r3], [x](file)", "entry\nr1\nr2\nr3\nx")]
    ['r1', 'r2', 'r3']
    """
    rows = {row["entry"]: row for row in csv.DictReader(io.StringIO(facts))}
    found: dict[str, dict[str, str]] = {}
    for mark in MARK.findall(html(markdown)):
        names = [mark]
        if span := SPAN.fullmatch(mark):
            names = [f"{span[1]}{k}" for k in range(int(span[2]), int(span[3]) + 1)]
        found |= {name: rows[name] for name in names if name in rows}
    return list(found.values())
