# SPDX-License-Identifier: Apache-2.0
"""What clean days have taught: limits of the watch, offsets of meters and spreads of scores, as one file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.diagnose.sequential import Lesson, Limits, Signatures, untaught, windows
from serai.errors import SeraiError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORM = "serai lesson 1"
SPANS = 8  # spans of six hours from which on the highest scores are fitted; with fewer they are those of theory
MARGIN = 1.25  # by which a spread of scan scores is widened: a few clean days do not show everything
LEAST = (0.6, 0.4)  # spreads of scan scores are taken for no smaller, by window
WINDOWS = (1, 10)  # scans that are averaged before they are tested


@dataclass(frozen=True)
class Taught:
    """A lesson.

    case    name of the case
    days    clean days behind it
    gas     limits of the watch over gas in motion; None = none were learned
    tags    meters of the watch for which they hold
    spread  of scan scores by window, (kind, element)
    state   all that the course remembered at the end of the clean days (`Course.save`)
    """

    case: str
    days: float
    gas: Limits | None = None
    tags: tuple[str, ...] = ()
    spread: tuple[dict[tuple[str, str], float], ...] = ({}, {})
    state: dict[str, Any] = field(default_factory=dict)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write it as JSON; the file appears whole or not at all."""
        gas = None
        if self.gas is not None:
            g = self.gas
            spread = {str(n): np.asarray(s).round(6).tolist() for n, s in g.spread.items()}
            gas = {"spread": spread, "mu": g.mu, "beta": g.beta, "span": g.span, "days": g.days}
        scan = [[[k, w, v] for (k, w), v in s.items()] for s in self.spread]
        text = json.dumps({"form": FORM, "case": self.case, "days": self.days, "gas": gas, "tags": list(self.tags),
                           "scan": scan, "state": self.state})  # fmt: skip
        target = Path(path)
        partial = target.with_name(f".{target.name}.part")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target


def read_lesson(path: str | os.PathLike[str]) -> Taught:
    """Read a lesson that `Taught.write` wrote; SeraiError when it is none."""
    file = Path(path)
    try:
        d = json.loads(file.read_text(encoding="utf-8"))
        g = d["gas"] if d["form"] == FORM else d[FORM]
        gas = g and Limits({int(n): np.array(s, float) for n, s in g["spread"].items()}, float(g["mu"]),
                           float(g["beta"]), float(g["span"]), float(g["days"]))  # fmt: skip
        spread = tuple(
            {(str(k), str(w)): max(least, float(v)) for k, w, v in s} for s, least in zip(d["scan"], LEAST, strict=True)
        )
        return Taught(str(d["case"]), float(d["days"]), gas, tuple(d["tags"]), spread, dict(d["state"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        how = f"serai diagnose CASE READINGS --learn CLEAN --lesson {file.name}"
        msg = f"{file}: no lesson of clean days ({error}). {how} makes one"
        raise SeraiError(msg) from None


def gas_limits(signatures: Signatures, y: Floats, skip: int) -> Limits:
    """Return the limits that one clean run teaches.

    y     whitened innovations (n_scan, n_meter); the first `skip` scans are warming up

    A window that the run is too short for gets the spread of the longest that it is not; with fewer than SPANS spans of
    six hours the law of the highest score is that of theory.
    """
    lesson = Lesson()
    lesson.spread(signatures, y, skip)
    taught = [n for n in windows() if lesson.counts.get(n, 0) >= 2]
    if not taught:
        msg = f"{len(y)} clean scans, of which {skip} warm up, teach nothing: give some hours more"
        raise SeraiError(msg)
    for n in windows():
        if n not in taught:
            longest = taught[-1]
            lesson.squares[n], lesson.counts[n] = lesson.squares[longest], lesson.counts[longest]
    lesson.close()
    theory = untaught(signatures, spread=1.0)
    if (len(y) - skip) // int(lesson.span / lesson.scan) < SPANS:
        return Limits(lesson.spreads, theory.mu, theory.beta, theory.span, lesson.days)
    lesson.largest(signatures, y, skip)
    found = lesson.limits()
    return Limits(found.spread, max(found.mu, theory.mu), max(found.beta, theory.beta), found.span, found.days)


@dataclass
class Spreads:
    """Gathers scan scores of clean days: sums and squares of every hypothesis, by window."""

    sums: tuple[dict[tuple[str, str], list[float]], ...] = field(default_factory=lambda: tuple({} for _ in WINDOWS))

    def add(self, window: int, keys: list[tuple[str, str]], z: Floats) -> None:
        """Take the statistics of one scan."""
        mine = self.sums[window]
        for key, value in zip(keys, z.tolist(), strict=True):
            found = mine.setdefault(key, [0.0, 0.0])
            found[0] += 1.0
            found[1] += value * value

    def spread(self) -> tuple[dict[tuple[str, str], float], ...]:
        """Return the root mean square of each, widened by MARGIN."""
        return tuple(
            {key: max(least, MARGIN * (s2 / n) ** 0.5) for key, (n, s2) in mine.items() if n >= 30.0}
            for mine, least in zip(self.sums, LEAST, strict=True)
        )
