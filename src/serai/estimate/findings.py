# SPDX-License-Identifier: Apache-2.0
"""What an estimate says against its readings: one finding a sentence, never a crash."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = {
    "unknown": "a tag, an element or a quantity that the network does not have",
    "not a number": "the source sent no usable number",
    "sigma": "a standard deviation that is zero, negative or not a number",
    "quality": "the source or the quality stage says that it is bad",
    "twice": "the same tag more than once",
    "not running": "its element is not in service, or dead",
    "unit": "it reads as if in another unit",
    "stuck": "nothing of a station has moved while the rest has",
    "position": "a status that is neither 1 nor 0",
    "too few": "what no reading tells",
    "critical": "nothing checks it",
    "not converged": "the search ended without an answer",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in the readings or about them.

    kind      one of KINDS
    where     tags or elements
    text      what, where, and what was done about it
    set_aside whether the readings named take no part in the estimate
    """

    kind: str
    where: tuple[str, ...]
    text: str
    set_aside: bool = False

    def __str__(self) -> str:
        """Say it."""
        return self.text


def some(names: list[str] | tuple[str, ...], limit: int = 5) -> str:
    """Return a few names and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
