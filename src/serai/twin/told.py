# SPDX-License-Identifier: Apache-2.0
"""What the loop knows, as others are told it: snapshots, findings, exports; plain objects in display units."""

from __future__ import annotations

from math import isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from serai.alarms.view import iso
from serai.network.quantities import MEASURABLE
from serai.twin.figures import shown, unaccounted
from serai.twin.layout import SHOWN, shown_in
from serai.units import from_si, unit_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serai.diagnose.incident import Incident
    from serai.network import Network
    from serai.twin.loop import Known, Loop

KINDS = {  # of incidents, as the room sorts them
    "leak": "leak", "leak or theft": "leak or theft", "power loss": "theft", "bias or forged": "bias", "unit": "bias",
    "stuck": "bias", "forged": "forged", "branch open": "status", "branch closed": "status", "position": "status",
    "valve open": "status", "command": "command", "efficiency": "parameter", "resistance": "parameter",
}  # fmt: skip
UNITS = {"kg/s": "mass flow", "W": "power", "Pa": "pressure", "var": "reactive power", "pu": "per unit", "rad": "angle"}
REAL = 1.0  # faults of every kind that a month brings: what an alarm of a known false rate is weighed against
STEPS = 25  # points of the curve of detection


def snapshot(loop: Loop, known: Known, clock: float, tally: Mapping[str, int]) -> dict[str, Any]:
    """Return a Snapshot without its sequence: everything live at one beat."""
    lo = loop.layout
    found: dict[str, tuple[float, float]] = {}
    if loop.gas is not None:
        found |= loop.figures.of_gas(loop.gas, known.time)
        found["gas_losses"] = _lost(loop)
    if loop.grid is not None:
        found |= loop.figures.of_grid(loop.grid)
    exports, nominated = of_exports(loop, known)
    return {
        "time": iso(known.time), "clock": iso(clock), "made": iso(clock),
        "estimate": lo.shown(known.estimate), "sigma": lo.shown_sigma(known.sigma),
        "measured": lo.shown(known.measured),
        "quality": known.quality.tolist(), "source": known.source, "key": shown(loop.network, found, nominated),
        "exports": exports, "tally": dict(tally), "health": loop.health(known.time),
    }  # fmt: skip


def _lost(loop: Loop) -> tuple[float, float]:
    """Return the gas that leaves unmetered by what the diagnosis found [kg/s]; nan while it does not judge yet."""
    watch = loop.judge.watch if loop.judge is not None else None
    if watch is None or watch.memory.count <= watch.settled:
        return nan, nan
    lost = [(i.size, i.sigma) for i in loop.incidents if i.kind in ("leak", "leak or theft") and i.unit == "kg/s"]
    return unaccounted(lost) if lost else (0.0, nan)


def of_exports(loop: Loop, known: Known) -> tuple[list[dict[str, Any]], float]:
    """Return what leaves the country at every place beside what is nominated, and all gas that is nominated [kg/s]."""
    net, lo = loop.network, loop.layout
    hour = (known.time / 3600.0 + net.utc_offset) % 24.0
    asked = {(k.quantity, k.where): k.value for k in net.knowns(hour) if k.quantity in ("withdrawal", "active_power")}
    out, total = [], 0.0
    for kind, quantity, column in (("offtakes", "withdrawal", "flow_max"), ("loads", "active_power", "")):
        t = net.active(kind)
        for k, name in enumerate(t.names):
            if str(t["kind"][k]) != "export" or (quantity, name) not in lo.place:
                continue
            at = lo.place[quantity, name]
            now = known.estimate[at] if isfinite(known.estimate[at]) else known.measured[at]
            wanted = asked.get((quantity, name), nan)
            total += wanted if quantity == "withdrawal" else 0.0
            out.append({
                "id": f"{kind}/{name}", "name": name, "flow": lo.show(at, now), "nominated": lo.show(at, wanted),
                "capacity": lo.show(at, float(t[column][k]) if column else nan), "unit": lo.values[at].unit,
                "alarm": None,
            })  # fmt: skip
    return out, total if out else nan


def findings(network: Network, incidents: Sequence[Incident]) -> list[dict[str, Any]]:
    """Return incidents as findings of a Diagnosis, the likeliest first."""
    found = [_finding(network, i) for i in incidents]
    sure = [1.0 / (1.0 + max(float(i.false_alarm), 0.0) / REAL) if isfinite(i.false_alarm) else 0.5 for i in incidents]
    for f, p in zip(found, sure, strict=True):
        f["probability"] = round(100.0 * p / len(found), 1)
    return sorted(found, key=lambda f: -f["probability"])


def _finding(network: Network, i: Incident) -> dict[str, Any]:
    scale, unit = _scale(network, i.unit)
    size, sigma, smallest = (_short(x * scale) for x in (i.size, i.sigma, i.smallest))
    kind = KINDS.get(i.kind, "parameter")
    if kind in ("bias", "parameter") and any(k == "forged" for k, _ in i.suspects):
        kind = "forged"
    names = [ident(network, w) for w in i.where]
    parameters = {"where": i.where[0] if i.where else "", "size": size, "unit": unit, "count": len(names)}
    place = None
    if i.pipe:
        share = float(i.share)
        spread = 1.96 * i.share_sigma if isfinite(i.share_sigma) else 1.0  # 95 of 100
        place = {"element": ident(network, i.pipe), "share": round(share, 3),
                 "low": round(max(0.0, share - spread), 3), "high": round(min(1.0, share + spread), 3)}  # fmt: skip
    level = float(i.score) / float(i.limit) if i.limit else nan
    return {
        "id": str(i.number), "kind": kind, "what": i.kind, "where": ident(network, i.where[0]) if i.where else "",
        "set": names, "words": {"key": f"finding.{kind.replace(' ', '-')}", "parameters": parameters},
        "text": str(i), "size": size, "sigma": sigma, "unit": unit, "onset": iso(i.onset), "told": iso(i.told),
        "seen": iso(i.seen), "score": _short(i.score), "limit": _short(i.limit), "probability": None,
        "false_alarm_per_month": _short(i.false_alarm), "smallest_detectable": smallest, "source": i.source,
        "evidence": _evidence(i, level), "place": place,
    }  # fmt: skip


def _evidence(i: Incident, level: float) -> list[dict[str, Any]]:
    """Return what speaks for and against a finding: its score against the level, and what explains it as well."""
    out = []
    if isfinite(level):
        out.append({"words": {"key": "evidence.score", "parameters": {"times": _short(level)}}, "for": True})
    if isfinite(i.false_alarm):
        rare = {"key": "evidence.false-alarm", "parameters": {"per_month": _short(i.false_alarm)}}
        out.append({"words": rare, "for": i.false_alarm < REAL})
    for kind, where in list(i.suspects)[1:4]:
        also = {"key": "evidence.as-well", "parameters": {"kind": kind, "where": where}}
        out.append({"words": also, "for": False})
    return out


def curve(network: Network, incident: Incident) -> dict[str, Any] | None:
    """Return with which chance a fault of such a kind and place is found, by its size: Phi(size / sigma - limit)."""
    if not (isfinite(incident.sigma) and incident.sigma > 0.0 and isfinite(incident.limit)):
        return None
    scale, unit = _scale(network, incident.unit)
    sizes = np.linspace(0.0, 2.0 * (incident.limit + 2.0) * incident.sigma, STEPS)
    chance = norm.cdf(sizes / incident.sigma - incident.limit)
    return {
        "sizes": [_short(s * scale) for s in sizes.tolist()], "chance": [round(c, 4) for c in chance.tolist()],
        "unit": unit, "element": ident(network, incident.where[0]) if incident.where else "",
    }  # fmt: skip


def ident(network: Network, name: str) -> str:
    """Return the id of an element; a tag, which is no element on a map, stays as it is."""
    if name not in network:
        return name
    kind = network.kind_of(name)
    return name if kind == "instruments" else f"{kind}/{name}"


def _scale(network: Network, unit: str) -> tuple[float, str]:
    """Return factor and display unit for sizes in an SI unit; what has no other stays as it is."""
    if unit not in UNITS:
        return 1.0, unit
    display = SHOWN[UNITS[unit]][0]
    u = unit_of(display)
    return 1.0 / (u.factor * network.gas.standard_density if u.standard_volume else u.factor), display


def finite(found: Any) -> Any:
    """Return plain objects in which every number is one: nan and infinity, which JSON has no word for, are None."""
    if isinstance(found, float):
        return found if isfinite(found) else None
    if isinstance(found, dict):
        return {k: finite(v) for k, v in found.items()}
    return [finite(v) for v in found] if isinstance(found, list | tuple) else found


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if isfinite(value) else None


def of_reading(network: Network, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return one reading in display units, `row` with value, estimate, sigma and limit in SI, nan = none."""
    unit, decimals = shown_in(row["quantity"])
    u, density = unit_of(unit), network.gas.standard_density

    def show(value: float) -> float | None:
        return round(from_si(value, unit, density), decimals) if isfinite(value) else None

    def width(value: float) -> float | None:
        factor = u.factor * density if u.standard_volume else u.factor
        return round(value / factor, decimals + 1) if isfinite(value) else None

    residual = row["value"] - row["estimate"]
    return {
        **{k: row[k] for k in ("tag", "quantity", "where", "place", "quality", "station")},
        "age_s": round(row["age"], 1) if isfinite(row["age"]) else None,
        "value": show(row["value"]), "unit": unit, "estimate": show(row["estimate"]), "sigma": width(row["sigma"]),
        "residual": width(residual), "low": show(row["low"]), "high": show(row["high"]),
        "name": MEASURABLE[row["quantity"]].doc if row["quantity"] in MEASURABLE else row["quantity"],
    }  # fmt: skip
