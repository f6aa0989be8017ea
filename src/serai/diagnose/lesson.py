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
from serai.network import bundled

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.network import Network

    Floats = NDArray[np.float64]

FORM = "serai lesson 2"
FILE = "lesson.json"  # of a case that brings one
OWN = f"the case's own {FILE}"
SPANS = 8  # spans of six hours from which on the highest scores are fitted; with fewer they are those of theory
REACH = 4.5  # spreads that a score of gas goes by chance in some days of clean scans
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
    state   all that the course remembered at the end of the clean days (`Course.save`); {} = of no single field
    settled scans after a beginning from which on limits without a state hold
    day, about   operating day ("" = any); how it was learned, in words
    """

    case: str
    days: float
    gas: Limits | None = None
    tags: tuple[str, ...] = ()
    spread: tuple[dict[tuple[str, str], float], ...] = ({}, {})
    state: dict[str, Any] = field(default_factory=dict)
    settled: int = 0
    day: str = ""
    about: str = ""

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write it as JSON; the file appears whole or not at all."""
        gas = None
        if self.gas is not None:
            g = self.gas
            spread = {str(n): np.asarray(s).round(6).tolist() for n, s in g.spread.items()}
            gas = {"spread": spread, "mu": g.mu, "beta": g.beta, "span": g.span, "days": g.days}
        scan = [[[k, w, round(v, 3)] for (k, w), v in s.items()] for s in self.spread]
        text = json.dumps({
            "form": FORM, "about": self.about, "case": self.case, "day": self.day, "days": self.days,
            "settled": self.settled, "gas": gas, "tags": list(self.tags), "scan": scan, "state": self.state,
        }, ensure_ascii=False)  # fmt: skip
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
        return Taught(
            str(d["case"]), float(d["days"]), gas, tuple(d["tags"]), spread, dict(d["state"]), int(d["settled"]),
            str(d["day"]), str(d["about"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        how = f"serai diagnose CASE READINGS --learn CLEAN --lesson {file.name}"
        msg = f"{file}: no lesson of clean days ({error}). {how} makes one"
        raise SeraiError(msg) from None


def own_lesson(network: Network) -> Path | None:
    """Return the file of the lesson that comes with a bundled case; None where there is none."""
    folder = bundled().get(network.name)
    return folder / FILE if folder is not None and (folder / FILE).exists() else None


def gas_limits(signatures: Signatures, runs: Sequence[Floats], skip: int) -> Limits:
    """Return the limits that clean runs teach.

    runs  whitened innovations (n_scan, n_meter) of each; its first `skip` scans are warming up

    A window that the runs are too short for gets the spread of the longest that they are not; with fewer than SPANS
    spans of six hours the law of the highest score is that of theory.
    """
    lesson = Lesson(reach=REACH)
    for y in runs:
        lesson.spread(signatures, y, skip)
    taught = [n for n in windows() if lesson.counts.get(n, 0) >= 2]
    if not taught:
        msg = f"{sum(map(len, runs))} clean scans, of which {skip} warm up, teach nothing: give some hours more"
        raise SeraiError(msg)
    for n in windows():
        if n not in taught:
            longest = taught[-1]
            lesson.squares[n], lesson.counts[n] = lesson.squares[longest], lesson.counts[longest]
            lesson.tops[n] = lesson.tops[longest]
    lesson.close()
    theory = untaught(signatures, spread=1.0)
    if sum((len(y) - skip) // int(lesson.span / lesson.scan) for y in runs) < SPANS:
        return Limits(lesson.spreads, theory.mu, theory.beta, theory.span, lesson.days)
    for y in runs:
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

    def join(self, other: Spreads) -> None:
        """Take what others have gathered."""
        for mine, theirs in zip(self.sums, other.sums, strict=True):
            for key, (n, s2) in theirs.items():
                found = mine.setdefault(key, [0.0, 0.0])
                found[0] += n
                found[1] += s2

    def spread(self) -> tuple[dict[tuple[str, str], float], ...]:
        """Return the root mean square of each, widened by MARGIN."""
        return tuple(
            {key: max(least, MARGIN * (s2 / n) ** 0.5) for key, (n, s2) in mine.items() if n >= 30.0}
            for mine, least in zip(self.sums, LEAST, strict=True)
        )


@dataclass
class Learning:
    """What is gathered of clean days: whitened innovations of the watch, statistics of the scans."""

    y: list[NDArray[np.float32]] = field(default_factory=list)
    spreads: Spreads = field(default_factory=Spreads)
