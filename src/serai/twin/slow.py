# SPDX-License-Identifier: Apache-2.0
"""Slow questions about the present, in a process of its own at low priority: what will be, what could be lost.

The present enters as what is drawn now: every offtake and load keeps the proportion to its profile that it has at this
hour. What a station or field does is what the case says it is set to.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from serai.alarms.view import iso
from serai.errors import SeraiError
from serai.known import Event, Known, Series
from serai.simulate.limits import CHECKED
from serai.twin.layout import limits_of, shown_in
from serai.twin.parent import end_with_parent
from serai.twin.told import ident
from serai.units import from_si

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serai.network import Network
    from serai.simulate.labelled import Result

T = TypeVar("T")
NICE = 15
HOURS, STEP = 24.0, "15min"
WORST = 40  # single losses that are told
AFTER = 1.0  # h over which a command is tried
PROPORTION = (0.5, 1.5)  # what is drawn over its profile, at least and at most: beyond, a meter is wrong
DRAWN = ("withdrawal", "active_power")
NAMES = {"supplied": "supply", "delivered": "withdrawal"}
EXCEEDED = 1e-4  # relative: a set-point on its own limit does not break it


@dataclass(frozen=True)
class Present:
    """What is known of now: local hour, and what offtakes and loads draw [SI] by (quantity, element).

    state  pressures [Pa] of nodes and flows [kg/s] of pipes: quantity -> element -> value; None = not known
    """

    network: Network
    hour: float
    time: float
    drawn: Mapping[tuple[str, str], float]
    state: Mapping[str, Mapping[str, float]] | None = None

    def series(self, hours: float) -> list[Series]:
        """Return what will be drawn: profiles in the proportion of now, on the hour."""
        now = {(k.quantity, k.where): k.value for k in self.network.knowns(self.hour)}
        found = []
        times = np.arange(0.0, hours + 1.0) * 3600.0
        later = [{(k.quantity, k.where): k.value for k in self.network.knowns(self.hour + t / 3600.0)} for t in times]
        for key, value in self.drawn.items():
            usual = now.get(key, 0.0)
            if key[0] not in DRAWN or usual <= 0.0:
                continue
            share = float(np.clip(value / usual, *PROPORTION))
            values = tuple(share * at.get(key, usual) for at in later)
            found.append(Series(*key, tuple(times.tolist()), values, source="as drawn now"))
        return found

    def knowns(self) -> list[Known]:
        """Return what is drawn now."""
        return [s.at(0.0) for s in self.series(0.0)]


def look_ahead(present: Present) -> dict[str, Any]:
    """Return an Ahead: the day to come from the live state, the limits it reaches, how long losses are outlived."""
    from serai.simulate.ahead import ahead  # noqa: PLC0415 - in the process that needs it

    seen = ahead(
        present.network, present.state, hours=HOURS, step=STEP, knowns=present.series(HOURS), start_hour=present.hour
    )
    reached = [
        _reached(present, (NAMES.get(b.quantity, b.quantity), b.element), (b.limit, b.value), b.time)
        for b in seen.reached
    ]
    keys = [("linepack_total", ""), *((r["quantity"], r["name"]) for r in reached[:8])]
    survival = [
        {"lost": ident(present.network, s.lost), "status": s.status, "reason": s.reason,
         "hours": round(s.hours, 2) if np.isfinite(s.time) else None,
         "first": ident(present.network, s.first.element) if s.first is not None else None}
        for s in seen.survival
    ]  # fmt: skip
    return {
        "from": iso(present.time), "made": iso(time()), "hours": round(seen.hours, 2), "stopped": seen.stopped,
        "series": [c for key in dict.fromkeys(keys) if (c := _course(present, seen.result, *key)) is not None],
        "reached": reached, "survival": survival, "mismatch": seen.result.mismatch,
        "basis": "from the estimated pressures and flows; profiles of the day in the proportion of what is drawn now; "
                 "set-points of the case",
    }  # fmt: skip


def reach(present: Present, result: Result) -> list[dict[str, Any]]:
    """Return the limits that a course reaches, the soonest first."""
    limits, d, out = limits_of(present.network), result.dataset, []
    seconds = np.asarray(d["time"].values, float)
    for kind, dim, variable, _, _ in CHECKED:
        if variable not in d or not len(present.network.active(kind)):
            continue
        quantity = NAMES.get(variable, variable)
        mine = set(present.network.active(kind).names)
        for k, name in enumerate(map(str, d[dim].values)):
            if name not in mine or (quantity, name) not in limits:
                continue
            values = np.asarray(d[variable].values[:, k], float)
            for limit, sign in zip(limits[quantity, name], (-1.0, 1.0), strict=True):
                beyond = sign * (values - limit) > EXCEEDED * max(abs(limit), 1e-3)
                if variable == "active_power":
                    beyond &= values != 0.0
                if beyond.any():
                    at = int(np.argmax(beyond))
                    worst = float(values[np.argmax(sign * values)])
                    out.append(_reached(present, (quantity, name), (limit, worst), float(seconds[at])))
    return sorted(out, key=lambda r: r["hours"])


def _reached(present: Present, key: tuple[str, str], values: tuple[float, float], after: float) -> dict[str, Any]:
    unit, decimals = shown_in(key[0])
    limit, worst = (round(from_si(v, unit, present.network.gas.standard_density), decimals) for v in values)
    element = ident(present.network, key[1])
    said = {"element": key[1], "quantity": key[0], "limit": limit, "value": worst, "unit": unit,
            "hours": round(after / 3600.0, 2)}  # fmt: skip
    return {**said, "element": element, "name": key[1], "time": iso(present.time + after),
            "words": {"key": "ahead.reached", "parameters": said}}  # fmt: skip


def _course(present: Present, result: Result, quantity: str, where: str) -> dict[str, Any] | None:
    """Return the course of one quantity; None where the result holds no array of it (pressures before a station)."""
    d, density = result.dataset, present.network.gas.standard_density
    variable = {v: k for k, v in NAMES.items()}.get(quantity, quantity)
    if quantity == "linepack_total":
        unit, values = "million_m3", np.asarray(d[variable].values, float) / density / 1e6
        limits = (float("nan"), float("nan"))
    elif variable not in d or where not in d[variable].indexes.get(str(d[variable].dims[-1]), ()):
        return None
    else:
        array = d[variable]
        values = np.asarray(array.sel({array.dims[-1]: where}).values, float)
        unit = shown_in(quantity)[0]
        values = np.array([from_si(v, unit, density) for v in values.tolist()])
        limits = limits_of(present.network).get((quantity, where), (float("nan"),) * 2)
    low, high = (round(from_si(v, unit, density), 4) if np.isfinite(v) else None for v in limits)
    return {
        "quantity": quantity, "where": where, "unit": unit,
        "time": [iso(present.time + s) for s in np.asarray(d["time"].values, float).tolist()],
        "value": [round(v, 4) if np.isfinite(v) else None for v in values.tolist()],
        "limit": {"low": low, "high": high},
    }  # fmt: skip


def lose_each(present: Present) -> dict[str, Any]:
    """Return an Outages: what every single loss would do now, the worst first."""
    from serai.simulate import outages  # noqa: PLC0415 - in the process that needs it

    begun = perf_counter()
    found = outages(present.network, knowns=present.knowns(), hour=present.hour)
    rate = from_si(1.0, "million_m3_per_day", present.network.gas.standard_density)
    cases = []
    for k in range(min(WORST, found.sizes["outage"])):
        row = found.isel(outage=k)
        name, status = str(row["outage"].values), str(row["status"].values)
        gas = float(row["unserved_gas"]) + float(row["unserved_export"])
        power, count = float(row["unserved_power"]), int(row["breaks"])
        cases.append({
            "lost": ident(present.network, name), "status": status, "broken": count,
            "finding": str(row["finding"].values), "severity": _severity(status, gas, power, count),
            "unserved": {"gas": round(gas * rate, 4), "power": round(power / 1e6, 2)},
            "words": {"key": "outage.case", "parameters": {"lost": name, "broken": count}},
        })  # fmt: skip
    return {"made": iso(time()), "cases": cases, "examined": int(found.sizes["outage"]),
            "took_s": round(perf_counter() - begun, 2)}  # fmt: skip


def _severity(status: str, gas: float, power: float, broken: int) -> str:
    if status != "solved":
        return "no answer"
    return "unserved" if gas > 0.0 or power > 0.0 else "limits" if broken else "none"


def try_command(present: Present, known: Known) -> dict[str, Any]:
    """Return what a command would change within an hour, and the limits that break only with it."""
    from serai.simulate import transient  # noqa: PLC0415 - in the process that needs it

    net, drawn, hour = present.network, present.series(AFTER), present.hour
    before = transient(net, hours=AFTER, step="5min", knowns=drawn, start_hour=hour)
    told = [Event(300.0, known)]
    after = transient(net, hours=AFTER, step="5min", knowns=drawn, start_hour=hour, events=told)
    held = {(r["name"], r["quantity"]) for r in reach(present, before)}
    broken = [r for r in reach(present, after) if (r["name"], r["quantity"]) not in held]
    changes = _changes(present, before, after, {(r["name"], r["quantity"]) for r in broken})
    return {"changes": changes, "worst": broken[0] if broken else None, "hours": AFTER, "broken": broken}


def _changes(present: Present, before: Result, after: Result, broken: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return what differs most at the end, relative to what is usual there; what breaks a limit first."""
    limits, found = limits_of(present.network), []
    for kind, dim, variable, _, _ in CHECKED:
        if variable not in before.dataset or not len(present.network.active(kind)):
            continue
        quantity = NAMES.get(variable, variable)
        a, b = (np.asarray(r.dataset[variable].values[-1], float) for r in (before, after))
        scale = float(np.nanmax(np.abs(a))) or 1.0
        for name, x, y in zip(map(str, before.dataset[dim].values), a.tolist(), b.tolist(), strict=True):
            if name in present.network and (abs(y - x) > 1e-3 * scale or (name, quantity) in broken):
                found.append(((name, quantity) in broken, abs(y - x) / scale, quantity, name, x, y))
    found.sort(key=lambda f: (not f[0], -f[1]))
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for bad, _, quantity, name, x, y in found:
        unit, decimals = shown_in(quantity)
        density = present.network.gas.standard_density
        show = [round(from_si(v, unit, density), decimals) if np.isfinite(v) else None
                for v in (x, y, *limits.get((quantity, name), (float("nan"),) * 2))]  # fmt: skip
        out.setdefault((quantity, name), {
            "quantity": quantity, "where": ident(present.network, name), "before": show[0], "after": show[1],
            "unit": unit, "limit": {"low": show[2], "high": show[3]}, "broken": bad,
        })  # fmt: skip
    return list(out.values())[:20]


class Slow:
    """A worker process at low priority; one that dies is made anew with the next question.

    restarts  how often that was
    """

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self.restarts = 0

    async def ask(self, question: Callable[..., T], *given: Any) -> T:
        """Return the answer; SeraiError where the worker died over it."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_lowly)
        try:
            return await asyncio.wrap_future(self._pool.submit(question, *given))
        except BrokenProcessPool:
            self._drop()
            self.restarts += 1
            raise SeraiError("the process for slow questions ended; it is started again with the next one") from None

    @property
    def pid(self) -> int | None:
        """Return the process id of the worker; None while there is none."""
        pids = list(self._pool._processes or ()) if self._pool else []  # noqa: SLF001 - there is no public way to know
        return pids[0] if pids else None

    def _drop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End the worker, whatever it is at."""
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):  # noqa: SLF001 - the same
                process.terminate()
        self._drop()


def _lowly() -> None:
    import signal  # noqa: PLC0415 - in the worker

    end_with_parent()
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of who started it
