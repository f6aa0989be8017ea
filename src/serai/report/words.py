# SPDX-License-Identifier: Apache-2.0
"""Numbers, times and names as a reader sees them: true minus, grouped thousands, escaped text."""

from __future__ import annotations

from html import escape
from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUS = "\u2212"
NONE = "\u2013"  # what stands where there is no number
THIN = "\u202f"  # narrow no-break space between a number and its unit

VOLUME_RATE = "million m\u00b3/d"
VOLUME = "million m\u00b3"


def esc(text: object) -> str:
    """Return a text safe inside HTML and SVG."""
    return escape(str(text), quote=True)


def number(value: Any, decimals: int = 1) -> str:
    """Return a number with grouped thousands and a true minus; a dash where there is none.

    >>> number(1234.56)
    '1,234.6'
    >>> number(-0.04)
    '0.0'
    """
    x = float(value)
    if not isfinite(x):
        return NONE
    text = f"{x:,.{decimals}f}"
    if text.startswith("-"):
        text = text[1:] if not any(c in "123456789" for c in text) else MINUS + text[1:]
    return text


def decimals_for(values: Sequence[float], digits: int = 3) -> int:
    """Return how many decimals show `digits` figures of the largest value."""
    largest = max((abs(float(v)) for v in values if isfinite(float(v))), default=0.0)
    if largest == 0.0:
        return 0
    return max(0, min(4, digits - 1 - floor(log10(largest))))


def with_unit(value: float, unit: str, decimals: int = 1) -> str:
    """Return a number and its unit, which is set smaller."""
    return f'{number(value, decimals)}<span class="u">{esc(unit)}</span>'


def power_of_ten(value: float) -> str:
    """Return a small relative number as 1.4 x 10^-13 in HTML.

    >>> power_of_ten(1.4e-13)
    '1.4 × 10<sup>−13</sup>'
    """
    if value == 0.0 or not isfinite(value):
        return "0" if value == 0.0 else NONE
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa} \u00d7 10<sup>{number(int(exponent), 0)}</sup>"


def clock(hours: float) -> str:
    """Return hours since midnight as HH:MM; a day later starts again at 00:00 and 24 is 24:00.

    >>> clock(6.25), clock(24.0), clock(30.0)
    ('06:15', '24:00', '06:00')
    """
    minutes = round(hours * 60.0)
    if minutes > 24 * 60:
        minutes %= 24 * 60
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun.

    >>> plural(1, "limit"), plural(2, "limit"), plural(0, "case")
    ('1 limit', '2 limits', 'no case')
    """
    if count == 0:
        return f"no {one}"
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """Return a text with a capital first letter, the rest untouched."""
    return text[:1].upper() + text[1:]
