# SPDX-License-Identifier: Apache-2.0
"""What the sources tell, as conditions: diagnosis, data quality, look-ahead, health of the system itself.

The arguments are what the live loop publishes: plain dictionaries and columns, values in the units in which they are
shown. Every function returns all that is true now, as `Alarms.report` wants it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from serai.alarms.rationale import Condition
from serai.network.topology import BRANCH_KINDS, GAS_EDGES, end_columns
from serai.telemetry.readings import Quality

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from serai.network import Network

LOSSES = ("leak", "theft", "leak or theft")
BAD = (
    Quality.INVALID | Quality.NOT_TOPICAL | Quality.OVERFLOW | Quality.OUT_OF_RANGE | Quality.FROZEN
    | Quality.FLATLINE | Quality.CLOCK_SKEW | Quality.BLOCKED
)  # fmt: skip
SILENT = Quality.STALE  # and tags from which nothing comes at all
LOST = 0.5  # share of a station's signals that are silent with which the station is, not the signals
MANY = 3  # sources that are down together, at least half of all, are one alarm
SOON = 2.0  # h
UP = ("up", "good", "ok", "running")


def of_findings(findings: Iterable[Mapping[str, Any]], network: Network) -> list[Condition]:
    """Return the conditions of a diagnosis: `id`, `kind`, `where`, `set` (element ids), `size`, `unit`, `probability`.

    A leak and a theft are one alarm, however the diagnosis leans from scan to scan; so is a finding whose set moves.
    """
    found = []
    for f in findings:
        kind = str(f["kind"])
        members = frozenset(name_of(e) for e in (*f.get("set", ()), f["where"]))
        told = {k: f[k] for k in ("size", "sigma", "probability", "onset") if f.get(k) is not None}
        told |= {"kind": kind, "unit_of_size": f.get("unit") or ""}
        around = members if kind in ("bias", "forged") else neighbours(network, members)
        key = "diagnosis.loss" if kind in LOSSES else f"diagnosis.{kind}"
        found.append(Condition(key, name_of(f["where"]), f"finding {f['id']}", told, members=members, explains=around))
    return found


def of_quality(
    tags: Sequence[tuple[str, str, str]], quality: Sequence[int], silent: Mapping[str, float]
) -> list[Condition]:
    """Return the conditions of data quality.

    tags     (tag, station, element) of every signal
    quality  (n,) flags of its last reading, `Quality`
    silent   tag -> seconds without a reading, of those that are overdue

    Where at least half of a station's signals (and two) are silent, the station is one alarm and its signals none.
    """
    of_station = Counter(station for _, station, _ in tags)
    dumb = {t for (t, _, _), q in zip(tags, quality, strict=True) if t in silent or q & SILENT}
    lost = Counter(station for tag, station, _ in tags if tag in dumb)
    gone = {s: n for s, n in lost.items() if n >= 2 and n >= LOST * of_station[s]}
    found = [
        Condition(
            "data.station", s, parameters={"count": n, "of": of_station[s]},
            explains=frozenset(tag for tag, station, _ in tags if station == s),
        )
        for s, n in sorted(gone.items())
    ]  # fmt: skip
    for (tag, station, element), q in zip(tags, quality, strict=True):
        if tag in dumb and station not in gone:
            age = round(silent.get(tag, 0.0))
            found.append(Condition("data.silent", tag, parameters={"age": age, "element_of": element}))
        elif tag not in dumb and q & BAD:
            flags = ", ".join(str(f.name).lower().replace("_", " ") for f in Quality(q & BAD))
            found.append(Condition("data.bad", tag, parameters={"flags": flags, "element_of": element}))
    return found


def of_ahead(reached: Iterable[Mapping[str, Any]]) -> list[Condition]:
    """Return the conditions of a look-ahead: `element`, `quantity`, `value`, `limit`, `unit`, `hours` from now."""
    found: dict[str, Condition] = {}
    for r in sorted(reached, key=lambda r: float(r["hours"])):
        element, side = name_of(r["element"]), "high" if r["value"] > r["limit"] else "low"
        told = {k: r.get(k) for k in ("quantity", "value", "limit", "unit")} | {"hours": round(float(r["hours"]), 1)}
        identity = f"{element} {r['quantity']} {side}"
        key = "ahead.soon" if float(r["hours"]) <= SOON else "ahead.later"
        found.setdefault(identity, Condition(key, element, identity, told))
    return list(found.values())


def of_health(health: Mapping[str, Any], tags: Sequence[tuple[str, str, str]] = ()) -> list[Condition]:
    """Return the conditions of the system itself, from its published health.

    `estimates`: name -> {age_s, late}; `loop`: {behind_s, period_s}; `sources`: [{name, status, reason, stations}];
    `history`: {status, reason}; `processes`: [{name, status}]. What is not there is not looked at.

    tags  (tag, station, element) of every signal: a source that is down explains that those behind it are silent
    """
    found = []
    for name, e in health.get("estimates", {}).items():
        if e.get("late"):
            found.append(Condition("health.estimate", name, parameters={"age": round(e["age_s"])}))
    loop = health.get("loop", {})
    if loop and loop.get("behind_s", 0.0) > loop.get("period_s", 1.0):
        found.append(Condition("health.late", "loop", parameters={"behind": round(loop["behind_s"], 1)}))
    found += _of_sources(health.get("sources", ()), tags)
    history = health.get("history", {})
    if history and history.get("status") not in UP:
        reason = history.get("reason") or history.get("status")
        found.append(Condition("health.history", "history", parameters={"reason": reason}))
    found += [
        Condition("health.process", p["name"], parameters={"reason": p["status"]})
        for p in health.get("processes", ())
        if p["status"] not in UP
    ]
    return found


def _of_sources(sources: Sequence[Mapping[str, Any]], tags: Sequence[tuple[str, str, str]]) -> Iterator[Condition]:
    """Yield the sources that are down; where at least half of them are (and MANY), that too, as their cause."""
    down = [s for s in sources if s["status"] == "down"]
    if not down:
        return
    behind: dict[str, list[str]] = {}
    for tag, station, _ in tags:
        behind.setdefault(station, [station]).append(tag)
    explained = {s["name"]: {e for name in s.get("stations", ()) for e in behind.get(name, (name,))} for s in down}
    reasons = Counter(str(s.get("reason") or "no answer") for s in down)
    if len(down) >= max(MANY, LOST * len(sources)):
        told = {"count": len(down), "of": len(sources), "reason": reasons.most_common(1)[0][0]}
        yield Condition(
            "health.links", "field", parameters=told, explains=frozenset(explained).union(*explained.values())
        )
    for s in down:
        told = {"reason": s.get("reason") or "no answer"}
        yield Condition("health.source", s["name"], parameters=told, explains=frozenset(explained[s["name"]]))


def name_of(element: str) -> str:
    """Return the name of an element id: what follows the kind in `pipes/Malay - Gedaim`."""
    kind, slash, name = element.partition("/")
    return name if slash and kind in _KINDS else element


_KINDS = frozenset(
    (*GAS_EDGES, *BRANCH_KINDS, "gas_nodes", "buses", "supplies", "offtakes", "generators", "loads", "plants")
)


def neighbours(network: Network, names: frozenset[str]) -> frozenset[str]:
    """Return elements together with their ends, what ends there, and the far ends: where a cause shows first."""
    ends = _ends(network)
    places = set(names) | {p for n in names for p in ends.get(n, ())}
    touching = {n for n, at in ends.items() if places.intersection(at)}
    return frozenset(names | touching | {p for n in touching for p in ends[n]})


def _ends(network: Network) -> dict[str, tuple[str, ...]]:
    """Return element -> the nodes or buses at which it ends."""
    found: dict[str, tuple[str, ...]] = {}
    single = {"supplies": "node", "offtakes": "node", "generators": "bus", "loads": "bus"}
    for kind in (*GAS_EDGES, *BRANCH_KINDS, *single):
        t = network.active(kind)
        columns = (single[kind],) if kind in single else end_columns(kind)
        for k, name in enumerate(t.names):
            found[str(name)] = tuple(str(t[c][k]) for c in columns)
    return found
