# SPDX-License-Identifier: Apache-2.0
"""A field scenario as a TOML file; every mistake in it is named with its place.

    title, about            in words
    seed                    of everything random
    day, start_hour         operating day and local hour at which it starts (not given = the network's day, midnight)
    hours, step             length, time step of the truth
    [truth]                 how the true world differs from the model: cell_km, efficiency_percent, temperature_k,
                            composition, wander_percent, wander_time
    [metering]              how meters err: bias, jitter, clock, dropout_percent, invalid_percent, latency
    [[operation]]           at, quantity, where, value, unit; logged = false: a command nobody gave
    [[leak]]                at, until, pipe, fraction, and one of rate with unit, percent of its flow, hole_mm
    [[theft]]               at, until, where (a gas node or a bus), rate, unit; on, off: it comes and goes
    [[meter]]               at, until, tags, fault, and what that asks for: value with unit, percent, factor, sent_in
    [[forged]]              at, until, tags, kind (replay, offset, stealth), value with unit, percent, ago,
                            [[forged.story]]
    [[status]]              at, until, quantity, where, value, unit: what the control room is shown
    [[restart]], [[link]]   at, lasts, station; kept = false: what a lost link held back is lost

Times are `06:00` (after the start), `90min`, `45s`. Tags take wildcards: `Malay CS *`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from math import inf, isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serai.errors import CaseError, Mistake, SeraiError
from serai.field.disturbed import SUBSTANCES
from serai.field.scenario import (
    FORGERIES,
    METER_FAULTS,
    Forgery,
    Leak,
    MeterFault,
    Metering,
    Operation,
    Scenario,
    Silence,
    Status,
    Theft,
    Truth,
)
from serai.known import Known, seconds
from serai.network import bundled
from serai.network.quantities import MEASURABLE, QUANTITIES, quantities_of
from serai.network.sheet import near
from serai.units import UNITS, to_si

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from serai.network import Network

FOLDER = "field"
_WORDS = {str: "a text in quotes", float: "a number", int: "a whole number", list: "a name or a list of names",
          bool: "true or false", dict: "a table"}  # fmt: skip
_TOP = {"title": str, "about": str, "seed": int, "day": str, "start_hour": float, "hours": float, "step": str}
_TRUTH = {"cell_km": float, "efficiency_percent": float, "temperature_k": float, "composition": dict,
          "wander_percent": float, "wander_time": str}  # fmt: skip
_METERING = {"bias": float, "jitter": str, "clock": str, "dropout_percent": float, "invalid_percent": float,
             "latency": str}  # fmt: skip
_SPAN = {"at": str, "until": str}
_KNOWN = {"quantity": str, "where": str, "value": float, "unit": str}
_ROWS: dict[str, dict[str, type]] = {
    "operation": {"at": str, **_KNOWN, "logged": bool},
    "leak": {**_SPAN, "pipe": str, "fraction": float, "rate": float, "unit": str, "percent": float, "hole_mm": float},
    "theft": {**_SPAN, "where": str, "rate": float, "unit": str, "on": str, "off": str},
    "meter": {**_SPAN, "tags": list, "fault": str, "value": float, "unit": str, "percent": float, "factor": float,
              "sent_in": str},
    "forged": {**_SPAN, "tags": list, "kind": str, "value": float, "unit": str, "percent": float, "ago": str,
               "story": list},
    "status": {**_SPAN, **_KNOWN},
    "restart": {"at": str, "lasts": str, "station": str},
    "link": {"at": str, "lasts": str, "station": str, "kept": bool},
}  # fmt: skip
_NEEDED = {
    "operation": ("at", "quantity", "where", "value"), "leak": ("at", "pipe", "fraction"),
    "theft": ("at", "where", "rate", "unit"), "meter": ("at", "tags", "fault"), "forged": ("at", "tags", "kind"),
    "status": ("at", "quantity", "where", "value"), "restart": ("at", "lasts", "station"),
    "link": ("at", "lasts", "station"),
}  # fmt: skip


def field_scenarios(network: Network) -> dict[str, Path]:
    """Return the field scenarios of a bundled case, by name."""
    folder = bundled().get(network.name)
    return {} if folder is None else {f.stem: f for f in sorted((folder / FOLDER).glob("*.toml"))}


def read_scenario(scenario: str | os.PathLike[str], network: Network) -> Scenario:
    """Read a field scenario, a file or the name of one that comes with the case; CaseError lists every mistake."""
    file = Path(scenario)
    if file.suffix != ".toml":
        known = field_scenarios(network)
        if str(scenario) not in known:
            there = f"there are {', '.join(known) or 'none'}; or give a .toml file"
            raise SeraiError(
                f"{network.name} has no field scenario {str(scenario)!r}{near(str(scenario), known)}; {there}"
            )
        file = known[str(scenario)]
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaseError(file.name, [Mistake(file.name, 0, "", f"cannot be read: {error.strerror}")]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CaseError(file.name, [Mistake(file.name, 0, "", f"is not TOML: {error}")]) from None
    reader = _Reader(file.name, network)
    found = reader.scenario(file.stem, given)
    if reader.mistakes:
        raise CaseError(file.name, reader.mistakes)
    return found


@dataclass
class _Reader:
    """One file being read: its mistakes so far."""

    file: str
    network: Network
    place: str = ""
    length: float = 86400.0
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, key: str, text: str) -> None:
        self.mistakes.append(Mistake(self.file, 0, f"{self.place}{key}", text))

    # ------------------------------------------------------------------- the whole

    def scenario(self, name: str, given: Mapping[str, Any]) -> Scenario:
        parts = ("truth", "metering", *_ROWS)
        top = self.values({k: v for k, v in given.items() if k not in parts}, _TOP)
        if "title" not in top:
            self.wrong("title", "must be given")
        day = top.get("day", "")
        if day and day not in self.network.days:
            self.wrong("day", f"no day {day!r}{near(day, self.network.days)}")
        hours = top.get("hours", 24.0)
        if not 0.0 < hours < inf:
            self.wrong("hours", f"must be above 0, got {hours:g}")
        self.length = 3600.0 * hours
        step = self.time("step", top.get("step", "60s"))
        if not (0.0 < step <= 3600.0 and (abs(60.0 / step - round(60.0 / step)) < 1e-9 or step % 60.0 == 0.0)):
            self.wrong("step", f"must divide a minute or be whole minutes up to an hour, got {top.get('step')!r}")
        rows = {key: self.rows(key, given.get(key, [])) for key in _ROWS}
        self.place = ""
        truth, metering = self.truth(given.get("truth", {})), self.metering(given.get("metering", {}))
        return Scenario(
            name, top.get("title", ""), top.get("about", ""), int(top.get("seed", 0)), day,
            top.get("start_hour", 0.0), hours, step, truth, metering,
            tuple(rows["operation"]), tuple(self.one_each("leak", rows["leak"])), tuple(rows["theft"]),
            tuple(rows["meter"]), tuple(self.one_story(rows["forged"])), tuple(rows["status"]),
            tuple(rows["restart"] + rows["link"]),
        )  # fmt: skip

    def rows(self, key: str, given: Any) -> list[Any]:
        if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
            self.place = ""
            self.wrong(key, f"must be tables: [[{key}]]")
            return []
        found = []
        for number, row in enumerate(given, start=1):
            self.place = f"{key} {number}, "
            before = len(self.mistakes)
            v = self.values(row, _ROWS[key])
            for need in _NEEDED[key]:
                if need not in row:
                    self.wrong(need, "must be given")
            made = getattr(self, key)(v) if len(self.mistakes) == before else None
            if made is not None:
                found.append(made)
        return found

    def one_each(self, key: str, leaks: list[Leak]) -> list[Leak]:
        self.place = ""
        pipes = [x.pipe for x in leaks]
        for pipe in sorted({p for p in pipes if pipes.count(p) > 1}):
            self.wrong(key, f"{pipe} leaks twice: one leak a pipe")
        return leaks

    def one_story(self, forged: list[Forgery]) -> list[Forgery]:
        self.place = ""
        if len({(f.begin, f.story) for f in forged if f.kind == "stealth"}) > 1:
            self.wrong("forged", "two stealth forgeries tell different stories or begin at different times")
        return forged

    def truth(self, given: Any) -> Truth:
        v = self.part("truth", given, _TRUTH)
        cell, efficiency = v.get("cell_km", 10.0), v.get("efficiency_percent", 0.0)
        if not 0.1 <= cell <= 100.0:
            self.wrong("cell_km", f"must be from 0.1 to 100, got {cell:g}")
        if not 0.0 <= efficiency <= 20.0:
            self.wrong("efficiency_percent", f"must be from 0 to 20, got {efficiency:g}")
        if not abs(v.get("temperature_k", 0.0)) <= 40.0:
            self.wrong("temperature_k", f"must be from -40 to 40, got {v['temperature_k']:g}")
        if not 0.0 <= v.get("wander_percent", 0.0) <= 20.0:
            self.wrong("wander_percent", f"must be from 0 to 20, got {v['wander_percent']:g}")
        mix = v.get("composition", {})
        self.composition(mix)
        return Truth(
            1e3 * cell, efficiency / 100.0, v.get("temperature_k", 0.0), mix, v.get("wander_percent", 0.0) / 100.0,
            self.positive("wander_time", v.get("wander_time", "30min")),
        )  # fmt: skip

    def composition(self, mix: Mapping[str, Any]) -> None:
        before = len(self.mistakes)
        for name, share in mix.items():
            if name not in SUBSTANCES:
                self.wrong("composition", f"no substance {name!r}{near(name, SUBSTANCES)}")
            elif isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 <= share <= 1.0:
                self.wrong("composition", f"{name} must be a share from 0 to 1, got {share!r}")
        if mix and len(self.mistakes) == before and abs(sum(mix.values()) - 1.0) > 1e-3:
            self.wrong("composition", f"the shares must make 1, they make {sum(mix.values()):g}")

    def metering(self, given: Any) -> Metering:
        v = self.part("metering", given, _METERING)
        usual = Metering()
        bias = v.get("bias", usual.bias)
        if not 0.0 <= bias <= 1.0:
            self.wrong("bias", f"must be from 0 to 1, got {bias:g}")
        shares = {"dropout": usual.dropout, "invalid": usual.invalid}
        for key, share in shares.items():
            value = v.get(f"{key}_percent", 100.0 * share)
            if not 0.0 <= value < 100.0:
                self.wrong(f"{key}_percent", f"must be from 0 to below 100, got {value:g}")
            shares[key] = value / 100.0
        times = {key: self.time(key, v[key]) for key in ("jitter", "clock", "latency") if key in v}
        return replace(usual, bias=bias, dropout=shares["dropout"], invalid=shares["invalid"], **times)

    def part(self, key: str, given: Any, keys: Mapping[str, type]) -> dict[str, Any]:
        self.place = ""
        if not isinstance(given, dict):
            self.wrong(key, f"must be a table: [{key}]")
            return {}
        self.place = f"{key}, "
        return self.values(given, keys)

    # ------------------------------------------------------------------- the rows

    def operation(self, v: Mapping[str, Any]) -> Operation | None:
        known, time = self.known(v), self.time("at", v["at"], inside=True)
        return None if known is None else Operation(time, known, v.get("logged", True))

    def leak(self, v: Mapping[str, Any]) -> Leak | None:
        begin, end = self.span(v)
        if v["pipe"] not in self.network["pipes"]:
            self.wrong("pipe", f"no pipe {v['pipe']!r}{near(v['pipe'], self.network['pipes'])}")
        if not 0.0 < v["fraction"] < 1.0:
            self.wrong("fraction", f"must lie between 0 and 1, got {v['fraction']:g}")
        if sum(key in v for key in ("rate", "percent", "hole_mm")) != 1:
            self.wrong("rate", "give one of rate (with unit), percent (of the pipe's flow at the start) or hole_mm")
        for key in ("rate", "percent", "hole_mm"):
            if not v.get(key, 1.0) > 0.0:
                self.wrong(key, f"must be above 0, got {v[key]:g}")
        rate = self.si("rate", v, "mass flow") if "rate" in v else nan
        return Leak(
            v["pipe"], v["fraction"], begin, end, rate, v.get("percent", nan) / 100.0, v.get("hole_mm", nan) / 1e3
        )

    def theft(self, v: Mapping[str, Any]) -> Theft | None:
        begin, end = self.span(v)
        where = v["where"]
        if where not in self.network["gas_nodes"] and where not in self.network["buses"]:
            names = [*self.network["gas_nodes"], *self.network["buses"]]
            self.wrong("where", f"no gas node or bus {where!r}{near(where, names)}")
        rate = self.si("rate", v, "power" if where in self.network["buses"] else "mass flow")
        if ("on" in v) != ("off" in v):
            self.wrong("on", "on and off are given together")
            return None
        on = self.positive("on", v["on"]) if "on" in v else inf
        return Theft(where, rate, begin, end, on, self.positive("off", v["off"]) if "off" in v else 0.0)

    def meter(self, v: Mapping[str, Any]) -> MeterFault | None:
        begin, end = self.span(v)
        tags, fault = self.tags(v), v["fault"]
        if fault not in METER_FAULTS:
            self.wrong("fault", f"must be one of {', '.join(METER_FAULTS)}; got {fault!r}{near(fault, METER_FAULTS)}")
            return None
        sized = [key for key in ("value", "percent", "factor", "sent_in") if key in v]
        allowed = {"bias": ("value", "percent"), "drift": ("value", "percent"), "noise": ("factor",),
                   "unit": ("sent_in", "factor")}.get(fault, ())  # fmt: skip
        if allowed and len(sized) != 1:
            self.wrong(allowed[0], f"{fault} asks for one of {', '.join(allowed)}")
            return None
        for key in sized:
            if key not in allowed:
                self.wrong(key, f"{fault} has none")
        value, factor = 0.0, v.get("factor", 1.0 + v.get("percent", 0.0) / 100.0)
        if "value" in v:
            value = self.difference(tags, v)
        if "sent_in" in v:
            value, factor = self.mistaken_unit(tags, v["sent_in"])
        return MeterFault(tags, fault, begin, end, value, factor)

    def forged(self, v: Mapping[str, Any]) -> Forgery | None:
        begin, end = self.span(v)
        tags, kind = self.tags(v), v["kind"]
        if kind not in FORGERIES:
            self.wrong("kind", f"must be one of {', '.join(FORGERIES)}; got {kind!r}{near(kind, FORGERIES)}")
            return None
        if kind == "offset" and ("value" in v) == ("percent" in v):
            self.wrong("value", "an offset is one of value (with unit) or percent")
            return None
        ago = self.positive("ago", v.get("ago", "24h"))
        if kind == "replay" and (ago % 60.0 or begin < ago):
            self.wrong("ago", f"must be whole minutes, and not before the start: {begin:g} s have passed at `at`")
        story = tuple(k for k in self.story(v.get("story", [])) if k is not None)
        if (kind == "stealth") != bool(story):
            self.wrong("story", "[[forged.story]] says what is to be believed: it belongs to stealth, which needs it")
        value = self.difference(tags, v) if "value" in v else 0.0
        return Forgery(tags, kind, begin, end, value, 1.0 + v.get("percent", 0.0) / 100.0, ago, story)

    def story(self, rows: list[Any]) -> list[Known | None]:
        if not all(isinstance(row, dict) for row in rows):
            self.wrong("story", "must be tables: [[forged.story]]")
            return []
        found = []
        for row in rows:
            v = self.values(row, _KNOWN)
            lacking = [key for key in ("quantity", "where", "value") if key not in v]
            for key in lacking:
                self.wrong(f"story, {key}", "must be given")
            found.append(None if lacking else self.known(v))
        return found

    def status(self, v: Mapping[str, Any]) -> Status | None:
        known, (begin, end) = self.known(v), self.span(v)
        return None if known is None else Status(known, begin, end)

    def restart(self, v: Mapping[str, Any]) -> Silence:
        begin = self.time("at", v["at"], inside=True)
        return Silence(self.station(v), begin, begin + self.positive("lasts", v["lasts"]), restart=True)

    def link(self, v: Mapping[str, Any]) -> Silence:
        begin = self.time("at", v["at"], inside=True)
        end = begin + self.positive("lasts", v["lasts"])
        return Silence(self.station(v), begin, end, kept=v.get("kept", True))

    # ------------------------------------------------------------------- the values

    def values(self, given: Mapping[str, Any], keys: Mapping[str, type]) -> dict[str, Any]:
        """Return what is given under the keys that exist, with their types."""
        found: dict[str, Any] = {}
        for key, value in given.items():
            wanted = keys.get(key)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if wanted is None:
                self.wrong(key, f"no such key{near(key, keys)}")
            elif wanted is list and isinstance(value, str):
                found[key] = [value]
            elif wanted is float and number and abs(value) < inf:
                found[key] = float(value)
            elif wanted is int and number and value == int(value) >= 0:
                found[key] = int(value)
            elif wanted in (str, bool, list, dict) and isinstance(value, wanted):
                found[key] = value
            else:
                self.wrong(key, f"must be {_WORDS[wanted]}, got {value!r}")
        return found

    def time(self, key: str, text: str, *, inside: bool = False) -> float:
        try:
            time = seconds(text)
        except SeraiError as error:
            self.wrong(key, str(error))
            return 0.0
        if inside and not 0.0 <= time < self.length:
            self.wrong(key, f"lies outside the {self.length / 3600.0:g} h of the scenario")
        return time

    def positive(self, key: str, text: str) -> float:
        time = self.time(key, text)
        if not time > 0.0:
            self.wrong(key, f"must be above 0, got {text!r}")
            return 1.0
        return time

    def span(self, v: Mapping[str, Any]) -> tuple[float, float]:
        begin = self.time("at", v["at"], inside=True)
        end = self.time("until", v["until"]) if "until" in v else inf
        if not end > begin:
            self.wrong("until", f"must come after `at`, got {v['until']!r}")
        return begin, end

    def known(self, v: Mapping[str, Any]) -> Known | None:
        quantity, where = v["quantity"], v["where"]
        q = QUANTITIES.get(quantity)
        if q is None:
            self.wrong("quantity", f"no quantity {quantity!r}{near(quantity, QUANTITIES)}")
            return None
        if where not in self.network:
            self.wrong("where", f"no element {where!r} in {self.network.name}{near(where, self.names())}")
            return None
        kind = self.network.kind_of(where)
        if kind not in q.kinds:
            self.wrong("quantity", f"{kind} have no {quantity} ({where}); they have {', '.join(quantities_of(kind))}")
            return None
        if q.flag and v["value"] not in (0.0, 1.0):
            self.wrong("value", f"{quantity} is 1 or 0, got {v['value']:g}")
        value = self.si("value", v, q.dimension)
        if value <= q.above:
            self.wrong("value", f"must be above 0, got {v['value']:g}")
        return None if isnan(value) else Known(quantity, where, value, source=f"scenario {self.file}")

    def names(self) -> list[str]:
        return [name for t in self.network.tables.values() if "name" in t.columns for name in t.names]

    def si(self, key: str, v: Mapping[str, Any], dimension: str) -> float:
        unit = v.get("unit", "")
        if unit not in UNITS:
            self.wrong("unit", f"no unit {unit!r}{near(unit, [u for u in UNITS if u])}")
            return nan
        if UNITS[unit].dimension != dimension and not (unit == "" and dimension == "per unit"):
            units = " or ".join(u for u in UNITS if u and UNITS[u].dimension == dimension)
            self.wrong("unit", f"must be a unit of {dimension} ({units}), got {unit!r}" if units else "must be empty")
            return nan
        return to_si(v[key], unit, self.network.gas.standard_density)

    def difference(self, tags: tuple[str, ...], v: Mapping[str, Any]) -> float:
        """Return what is added to readings of these tags, SI: a value without the zero of its unit."""
        t = self.network["instruments"]
        dimensions = {MEASURABLE[str(t["quantity"][t.row(tag)])].dimension for tag in tags}
        if len(dimensions) > 1:
            self.wrong("value", f"the tags are of {' and '.join(sorted(dimensions))}: give percent, or part them")
            return 0.0
        unit = v.get("unit", "")
        if dimensions == {"pressure"} and unit == "bar":
            return float(v["value"]) * UNITS["bar"].factor
        value = self.si("value", v, dimensions.pop()) if dimensions else nan
        return 0.0 if isnan(value) else value - UNITS[unit].offset

    def mistaken_unit(self, tags: tuple[str, ...], sent_in: str) -> tuple[float, float]:
        """Return (value, factor) of reading = factor x true + value, when meters send in another unit than they say."""
        t, density = self.network["instruments"], self.network.gas.standard_density
        said = {str(t["unit"][t.row(tag)]) for tag in tags}
        if len(said) > 1:
            self.wrong("sent_in", f"the tags send in different units ({', '.join(sorted(said))}): part them")
            return 0.0, 1.0
        if sent_in not in UNITS or not said or UNITS[sent_in].dimension != UNITS[next(iter(said))].dimension:
            dimension = UNITS[next(iter(said))].dimension if said else ""
            units = " or ".join(u for u in UNITS if u and UNITS[u].dimension == dimension)
            self.wrong("sent_in", f"must be a unit of {dimension} ({units}), got {sent_in!r}")
            return 0.0, 1.0
        one, other = UNITS[next(iter(said))], UNITS[sent_in]
        sizes = [u.factor * (density if u.standard_volume else 1.0) for u in (one, other)]
        factor = sizes[0] / sizes[1]
        return one.offset - factor * other.offset, factor

    def tags(self, v: Mapping[str, Any]) -> tuple[str, ...]:
        there = self.network.active("instruments").names
        found: dict[str, None] = {}
        for pattern in v["tags"]:
            hits = [tag for tag in there if isinstance(pattern, str) and fnmatchcase(tag, pattern)]
            if not hits:
                self.wrong("tags", f"no instrument {pattern!r}{near(str(pattern), there)}")
            found.update(dict.fromkeys(hits))
        return tuple(found)

    def station(self, v: Mapping[str, Any]) -> str:
        there = sorted(set(self.network.active("instruments")["station"].tolist()))
        if v["station"] not in there:
            self.wrong("station", f"no station {v['station']!r}{near(v['station'], there)}")
        return str(v["station"])
