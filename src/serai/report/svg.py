# SPDX-License-Identifier: Apache-2.0
"""SVG as text: tags, and how wide a text will be, so that labels can be kept apart without a browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serai.report.words import esc

if TYPE_CHECKING:
    from collections.abc import Iterable

SMALL, NORMAL = 11.0, 12.0  # px, the two sizes of text inside figures

# Advance widths of Helvetica in 1/1000 of the size (Adobe AFM, public): space to tilde.
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)  # fmt: skip
_WIDER = 1.08  # other fonts of the stack are up to this much wider
_BOLD = 1.06


def text_width(text: str, size: float = NORMAL, *, bold: bool = False) -> float:
    """Return an upper estimate of the width of a text [px]."""
    units = sum(_WIDTHS[ord(c) - 32] if 32 <= ord(c) < 127 else 600 for c in text)
    return units / 1000.0 * size * _WIDER * (_BOLD if bold else 1.0)


def shortened(text: str, width: float, size: float = NORMAL, *, bold: bool = False) -> str:
    """Return a text cut with an ellipsis so that it fits into a width [px]."""
    if text_width(text, size, bold=bold) <= width:
        return text
    while text and text_width(text + "\u2026", size, bold=bold) > width:
        text = text[:-1]
    return text.rstrip() + "\u2026"


@dataclass(frozen=True)
class Box:
    """A rectangle [px]; y points down."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Return the shared area [px2]."""
        w = min(self.right, other.right) - max(self.left, other.left)
        h = min(self.bottom, other.bottom) - max(self.top, other.top)
        return w * h if w > 0.0 and h > 0.0 else 0.0

    def grown(self, by: float) -> Box:
        """Return the rectangle with a margin."""
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def inside(self, other: Box) -> bool:
        """Tell whether this lies within another."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


def tag(name: str, content: str = "", /, **attributes: object) -> str:
    """Return one element; `cls` is the class, underscores become hyphens, None is left out, numbers lose their tail."""
    parts = [name]
    for key, value in attributes.items():
        if value is None:
            continue
        label = "class" if key == "cls" else key.replace("_", "-")
        parts.append(f'{label}="{_short(value) if isinstance(value, float) else esc(value)}"')
    head = " ".join(parts)
    return f"<{head}>{content}</{name}>" if content else f"<{head}/>"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def words(text: str, x: float, y: float, cls: str = "", *, size: float = SMALL, anchor: str = "start") -> str:
    """Return a text at its baseline; the text is escaped here."""
    ends = None if anchor == "start" else anchor
    return tag("text", esc(text), x=x, y=y, cls=cls or None, font_size=size, text_anchor=ends)


def path(points: Iterable[tuple[float, float]], cls: str, **more: object) -> str:
    """Return a polyline as a path; points that are not numbers break it."""
    out, pen = [], "M"
    for x, y in points:
        if x != x or y != y:  # noqa: PLR0124 - not a number
            pen = "M"
            continue
        out.append(f"{pen}{_short(x)} {_short(y)}")
        pen = "L"
    return tag("path", d="".join(out), cls=cls, **more)


def figure(width: float, height: float, content: str, label: str, cls: str = "fig") -> str:
    """Return a whole figure with a sentence for those who cannot see it."""
    return tag(
        "svg", content, cls=cls, viewBox=f"0 0 {_short(width)} {_short(height)}", role="img", aria_label=label,
        width=width, height=height,
    )  # fmt: skip


HATCH = (
    '<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path class="hatch" d="M0 0V6"/></pattern></defs></svg>'
)
