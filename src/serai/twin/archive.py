# SPDX-License-Identifier: Apache-2.0
"""The past as the twin knew it: estimates are stored beside the readings, and both are read back for trends.

An estimate of `pressure` of `Gedaim` is stored under the tag `estimate pressure Gedaim`, its standard deviation under
`sigma pressure Gedaim`: gas at every gas scan, the grid every ten seconds. Reading is done from the files of segments,
beside the process that writes, so that nobody who looks at a year holds up the second that is being stored.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from serai import units
from serai.alarms.view import iso
from serai.errors import SeraiError
from serai.telemetry import historian
from serai.telemetry.historian.resample import Rule
from serai.telemetry.readings import MICROSECONDS, Counts, Readings, Register
from serai.twin.desk import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from serai.telemetry.historian import Historian
    from serai.twin.layout import Layout
    from serai.twin.loop import Known

LONGEST = 400 * 86400.0  # s of one trend
POINTS = 5000
HOLD = {"measured": 180.0, "estimate": 150.0, "sigma": 150.0}  # s that a value holds without a successor
OFTEN = 10.0  # s between two stored estimates of the grid
SLICE = 60 * MICROSECONDS  # of the history that is looked at at once for its beginning
WITHIN = 600.0  # s before an instant in which a value counts as known at it


class Stores(Protocol):
    """What takes readings into the history."""

    def append(self, batch: str, readings: Readings, source: str = "") -> object:
        """Store a batch once."""
        ...


class Recorder:
    """Turns what is known into readings to be stored: only what is new since it was stored last.

    counts   `estimates stored`, `not stored: <why>`
    """

    def __init__(self, layout: Layout, begun: float) -> None:
        self.layout = layout
        self.register = Register()
        self.counts = Counts("recorder")
        self._tags = {kind: self.register.numbers(f"{kind} {q} {w}" for q, w in layout.place)
                      for kind in ("estimate", "sigma")}  # fmt: skip
        self._begun, self._numbers = begun, count()
        self._stored = np.zeros(len(layout))

    def due(self, known: Known, gas_at: NDArray[np.intp], gas_time: float) -> Readings | None:
        """Return the estimates to be stored at this beat; None = none are."""
        fresh = np.zeros(len(self.layout), bool)
        letters = np.frombuffer(known.source.encode(), "S1")
        fresh[(letters == b"e") & (known.time - self._stored >= OFTEN)] = True
        of_gas = np.zeros(len(self.layout), bool)
        of_gas[gas_at] = True
        fresh[of_gas] = gas_time > self._stored[of_gas]
        fresh &= np.isfinite(known.estimate)
        if not fresh.any():
            return None
        self._stored[fresh] = np.where(of_gas[fresh], gas_time, known.time)
        which = np.flatnonzero(fresh)
        sure = which[np.isfinite(known.sigma[which])]
        tag = np.concatenate([self._tags["estimate"][which], self._tags["sigma"][sure]])
        value = np.concatenate([known.estimate[which], known.sigma[sure]])
        time = np.full(len(tag), round(known.time * MICROSECONDS), np.int64)
        return Readings(self.register, tag, time, value, np.zeros(len(tag), np.uint16), time)

    def store(self, into: Stores, batch: Readings) -> None:
        """Store a batch; a history that takes nothing now is counted, the loop goes on."""
        try:
            into.append(f"twin-{self._begun:.6f}-{next(self._numbers)}", batch, "twin")
            self.counts.add("estimates stored", len(batch))
        except SeraiError as error:
            self.counts.add(f"not stored: {getattr(error, 'reason', '') or type(error).__name__}", len(batch))


class Archive:
    """Reads a history for trends and for what was known at an instant."""

    def __init__(self, where: str | Path, layout: Layout) -> None:
        """Take the place of the history; it is opened with the first question."""
        self._where, self.layout = where, layout
        self._store: Historian | None = None

    def _open(self) -> Historian:
        if self._store is None:
            try:
                self._store = historian.open(self._where, read_only=True)
            except (SeraiError, OSError) as error:
                raise Refused("unavailable", f"the history cannot be read: {error}", "Try again in a minute") from None
        return self._store

    def close(self) -> None:
        """Let go of the files."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def trend(self, series: Sequence[str], start: str, end: str, points: int) -> dict[str, Any]:
        """Return measured and estimated values of series ("pressure:Gedaim") on a grid between two times."""
        begin, last = moment(start), moment(end)
        if not 0.0 < last - begin <= LONGEST:
            raise Refused("invalid", f"the end must lie after the start, at most {LONGEST / 86400:g} days", "")
        if not 2 <= points <= POINTS:
            raise Refused("invalid", f"points: 2 to {POINTS}, got {points}", "Ask for fewer")
        store = self._open()
        step = max(1.0, (last - begin) / points)
        step = float(np.ceil(step))
        return {
            "start": iso(begin), "end": iso(last), "step_s": step,
            "series": [self._series(store, text, (begin, last, step)) for text in series],
        }  # fmt: skip

    def _series(self, store: Historian, text: str, span: tuple[float, float, float]) -> dict[str, Any]:
        begin, end, step = span
        k = self.place(text)
        v = self.layout.values[k]
        tags = {
            "measured": v.tag,
            "estimate": f"estimate {v.quantity} {v.where}",
            "sigma": f"sigma {v.quantity} {v.where}",
        }
        n = max(1, int(np.floor((end - begin) / step)))
        times = begin + step * np.arange(n)
        found: dict[str, list[float | None]] = {}
        for kind, tag in tags.items():
            values = np.full(n, np.nan)
            if tag and tag in store.register:
                out = store.resample([tag], int(begin * MICROSECONDS), int((begin + n * step) * MICROSECONDS), step,
                                     Rule("mean", max(HOLD[kind], step)))  # fmt: skip
                values = out.value[0][:n]
            factor, offset = self.layout.factor[k], 0.0 if kind == "sigma" else self.layout.offset[k]
            shown = (values - offset) / factor
            found[kind] = [round(x, v.decimals + 1) if x == x else None for x in shown.tolist()]  # noqa: PLR0124 - nan
        return {
            "quantity": v.quantity, "where": v.where, "unit": v.unit,
            "limits": {"low": self.layout.show(k, v.low), "high": self.layout.show(k, v.high)},
            "time": [iso(t) for t in times.tolist()], **found, "forecast_from": None,
        }  # fmt: skip

    def place(self, text: str) -> int:
        """Return where a series stands in the layout; Refused when there is none."""
        quantity, _, where = text.partition(":")
        k = self.layout.place.get((quantity, where))
        if k is None:
            raise Refused("unknown", f"no series {text!r}", "Series are quantity:element, as pressure:Gedaim")
        return k

    def instant(self, time: str) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return time [s], estimate, sigma, measured (n_value,) SI as known at a time; nan = not known then.

        Refused where nothing at all was known then, with the time at which the history begins.
        """
        at = moment(time)
        store, lo = self._open(), self.layout
        names = {kind: [f"{kind} {q} {w}" for q, w in lo.place] for kind in ("estimate", "sigma")}
        names["measured"] = [v.tag for v in lo.values]
        wanted = sorted({n for part in names.values() for n in part if n and n in store.register})
        if not wanted:
            raise Refused("not-ready", "nothing is recorded yet", "Ask again when the loop has run for a minute")
        found = store.snapshot(int(at * MICROSECONDS), wanted, within=WITHIN, as_of=int(at * MICROSECONDS))
        if not len(found):
            raise self._nothing(store, at)
        value = dict(zip(found.register.names(found.tag), found.value.tolist(), strict=True))
        arrays = {kind: np.array([value.get(n, np.nan) for n in part]) for kind, part in names.items()}
        return at, arrays["estimate"], arrays["sigma"], arrays["measured"]

    def _nothing(self, store: Historian, at: float) -> Refused:
        """Return why nothing was known at a time [s]."""
        begins = self._beginning(store)
        if begins is None or at < begins:
            begun = "nothing is recorded yet" if begins is None else f"the history begins at {iso(begins)}"
            return Refused("unknown", f"nothing is known of {iso(at)}: {begun}", "Ask for a later time")
        return Refused(
            "unknown", f"nothing was recorded in the {WITHIN / 60.0:g} minutes before {iso(at)}",
            "Ask for a time at which the loop ran; trends show when that was",
        )  # fmt: skip

    def _beginning(self, store: Historian) -> float | None:
        """Return the time of the first reading [s since 1970 UTC], minute by minute; None = there is none."""
        for first, last in store.windows():
            for start in range(first, last, SLICE):
                found = store.read(start=start, end=min(start + SLICE, last))
                if len(found):
                    return float(found.time.min()) / MICROSECONDS
        return None


def moment(text: str) -> float:
    """Return a time [s since 1970 UTC] from ISO 8601 with its zone; Refused where it is none."""
    try:
        return units.moment(text)
    except (ValueError, TypeError, OverflowError):
        raise Refused("invalid", f"{text!r} is no time with a zone", "Write 2026-11-22T14:30:00Z") from None
