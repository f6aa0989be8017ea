# SPDX-License-Identifier: Apache-2.0
"""The balance sheet of a gas day: what entered, what left, what linepack took, what is left over; from the history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.alarms.view import iso
from serai.errors import UnknownName
from serai.telemetry.historian.resample import Rule
from serai.telemetry.readings import MICROSECONDS
from serai.twin.desk import Refused
from serai.units import DAY

if TYPE_CHECKING:
    from serai.twin.archive import Archive
    from serai.twin.loop import Loop

STEP, HOLD = 600.0, 150.0  # s
TERMS = (("supplies", "supply", "in"), ("offtakes", "withdrawal", "out"), ("plants", "plant_fuel", "plants"),
         ("compressors", "fuel", "stations"))  # fmt: skip


def sheet(past: Archive, loop: Loop, day: str | None, now: float) -> dict[str, Any]:
    """Return the sheet of a gas day (2026-11-22; None = the one that runs), as estimated, and its rows by element.

    A volume is the mean of what was estimated times the part of the day for which something was: `known` says how much.
    """
    net = loop.network
    begin, end = span(day, net.utc_offset, net.gas_day_start, now)
    until = min(end, now)
    store = past._open()  # noqa: SLF001 - the archive's own history
    rows, totals = [], dict.fromkeys((t[2] for t in TERMS), 0.0)
    known = []
    for kind, quantity, term in TERMS:
        for name in net.active(kind).names:
            tag = f"estimate {quantity} {name}"
            mean, share = _mean(store, tag, begin, until)
            if not isfinite(mean):
                continue
            volume = mean * (until - begin) * share / net.gas.standard_density / 1e6
            known.append(share)
            totals[term] += volume
            rows.append(
                {"element": f"{kind}/{name}", "term": term, "volume": round(volume, 4), "known": round(share, 3)}
            )
    if not rows:
        raise Refused("not-ready", f"nothing is recorded of the gas day that began {iso(begin)}", "Ask for another day")
    left = totals["in"] - totals["out"] - totals["plants"] - totals["stations"]
    return {
        "day": day, "start": iso(begin), "end": iso(end), "until": iso(until), "unit": "million_m3",
        "totals": {k: round(v, 4) for k, v in totals.items()}, "into_linepack_or_lost": round(left, 4),
        "known": round(float(np.mean(known)), 3), "rows": sorted(rows, key=lambda r: -abs(float(r["volume"]))),
    }  # fmt: skip


def span(day: str | None, offset: float, start: float, now: float) -> tuple[float, float]:
    """Return begin and end [s since 1970 UTC] of a gas day that begins at `start` [h] local time."""
    shift = 3600.0 * (offset - start)
    if day is None:
        begin = np.floor((now + shift) / DAY) * DAY - shift
    else:
        try:
            date = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise Refused("invalid", f"{day!r} is no day", "Write 2026-11-22") from None
        begin = (date + timedelta(hours=start - offset)).timestamp()
    if begin > now:
        raise Refused("unknown", f"{day} has not begun", "")
    return float(begin), float(begin + DAY)


def _mean(store: Any, tag: str, begin: float, end: float) -> tuple[float, float]:
    """Return the mean of a tag [SI] over the known part, and how much of the time is known."""
    if tag not in store.register:
        return nan, 0.0
    try:
        out = store.resample([tag], int(begin * MICROSECONDS), int(end * MICROSECONDS), STEP, Rule("mean", HOLD))
    except UnknownName:
        return nan, 0.0
    value, share = out.value[0], out.share[0]
    weight = np.where(np.isfinite(value), share, 0.0)
    if not weight.sum():
        return nan, 0.0
    return float(np.nansum(value * weight) / weight.sum()), float(weight.mean())
