# SPDX-License-Identifier: Apache-2.0
"""The balance sheet of a gas day: what entered, what left, what linepack took, what is left over; from the history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.alarms.view import iso
from serai.telemetry.historian.resample import Rule
from serai.telemetry.readings import MICROSECONDS
from serai.twin.desk import Refused
from serai.units import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serai.telemetry.historian import Historian
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
    places = [(kind, name, term, f"estimate {quantity} {name}") for kind, quantity, term in TERMS
              for name in net.active(kind).names]  # fmt: skip
    means = _means(store, [tag for *_, tag in places], begin, until)
    for kind, name, term, tag in places:
        if tag not in means:
            continue
        mean, share = means[tag]
        volume = mean * (until - begin) * share / net.gas.standard_density / 1e6
        totals[term] += volume
        rows.append({"element": f"{kind}/{name}", "term": term, "volume": round(volume, 4), "known": round(share, 3)})
    if not rows:
        raise Refused("not-ready", f"nothing is recorded of the gas day that began {iso(begin)}", "Ask for another day")
    left = totals["in"] - totals["out"] - totals["plants"] - totals["stations"]
    whole = round(float(np.mean([share for _, share in means.values()])), 3)
    return {
        "day": day, "start": iso(begin), "end": iso(end), "until": iso(until), "unit": "million_m3",
        "totals": {k: round(v, 4) for k, v in totals.items()}, "into_linepack_or_lost": round(left, 4), "known": whole,
        "rows": sorted(rows, key=lambda r: -abs(float(r["volume"]))),
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


def _means(store: Historian, tags: Sequence[str], begin: float, end: float) -> dict[str, tuple[float, float]]:
    """Return the mean of tags [SI] over the part of the time that is known, and how large that part is."""
    there = [tag for tag in tags if tag in store.register]
    if not there:
        return {}
    found = store.resample(there, int(begin * MICROSECONDS), int(end * MICROSECONDS), STEP, Rule("mean", HOLD))
    weight = np.where(np.isfinite(found.value), found.share, 0.0)
    whole = weight.sum(axis=1)
    mean = np.nansum(found.value * weight, axis=1) / np.where(whole > 0.0, whole, 1.0)
    return {
        tag: (float(m), float(w) / weight.shape[1]) for tag, m, w in zip(there, mean, whole, strict=True) if w > 0.0
    }
