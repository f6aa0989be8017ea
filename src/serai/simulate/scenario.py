# SPDX-License-Identifier: Apache-2.0
"""A scenario: what happened once, as a file that says what is input and what must come out of the model.

    title, happened, source     in words
    day                         the operating day before the event (not given = the network's present day)
    hours, step                 length of the replay, time between its results
    [[given]]                   what was otherwise than on that day, from the start on
    [[event]] at = "01:00"      what happens, by whom (nature, operator, buyer)
    [[expect]]                  what must come out, beside what was published

`given` and `event` name a quantity, one element or several (`where`), a value and its unit; `of = "mean"` takes the
value as a factor on the day's mean state, `of = "start"` on the state at the start. Every one says why.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from math import inf, isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serai.errors import CaseError, Mistake, SeraiError
from serai.known import seconds
from serai.network import Network, bundled
from serai.network.quantities import MEASURABLE, QUANTITIES, measurable_of, quantities_of
from serai.network.sheet import near
from serai.units import UNITS, to_si

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from serai.network.quantities import Quantity

MEASURES = ("change", "lowest", "highest", "hours until", "first to reach")
DIRECTIONS = ("up", "down", "")
ACTORS = ("nature", "operator", "buyer")
OF = ("", "mean", "start")
FOLDER = "scenarios"


@dataclass(frozen=True, slots=True)
class Cause:
    """Something given from the start (time nan) or that happens at a time [s]: one row of `given` or `event`.

    of  "" = `value` is SI; "mean" or "start" = a factor on that state
    by  nature (what failed), operator or buyer (what people did about it)
    """

    quantity: str
    where: tuple[str, ...]
    value: float
    of: str
    by: str
    why: str
    time: float = nan


@dataclass(frozen=True, slots=True)
class Expect:
    """What must come out.

    text            in words
    measure         change: of the sum over `where`, against the same run without the events, mean of the last `mean`
                    [s] before `at`; lowest, highest: over all of `where` and the whole run; hours until: from the first
                    event until the first of `where` reaches `level`; first to reach: which of `where` does so first
    published       SI; nan = only a direction or a bound was; `factor` within which the size must lie, for a `reason`
    direction       up or down; of a change
    at_least, at_most   bounds of what is found, SI (hours until: s)
    answer          the names of which one must be first (first to reach)
    level           SI; nan = the pressure_max of each node
    people          False = what would have come had nobody done anything: only what nature gives and does
    """

    text: str
    measure: str
    quantity: str
    where: tuple[str, ...]
    unit: str
    at: float = nan
    mean: float = 0.0
    direction: str = ""
    published: float = nan
    factor: float = nan
    reason: str = ""
    source: str = ""
    at_least: float = -inf
    at_most: float = inf
    answer: tuple[str, ...] = ()
    level: float = nan
    people: bool = True


@dataclass(frozen=True)
class Scenario:
    """One scenario file, read and checked against its network."""

    name: str
    title: str
    happened: str
    source: str
    day: str
    hours: float
    step: float
    given: tuple[Cause, ...] = ()
    events: tuple[Cause, ...] = ()
    expects: tuple[Expect, ...] = ()
    notes: str = ""


def scenarios(case: Network | str | os.PathLike[str]) -> list[Path]:
    """Return the scenario files of a case: a network read from a bundled case, its name, or a case folder."""
    name = case.name if isinstance(case, Network) else str(case)
    folder = bundled().get(name, Path(name))
    if not folder.is_dir():
        msg = f"{name}: no bundled case and no folder, so it has no scenarios; bundled: {', '.join(bundled())}"
        raise SeraiError(msg)
    return sorted((folder / FOLDER).glob("*.toml"))


def read_scenario(path: str | os.PathLike[str], network: Network) -> Scenario:
    """Read a scenario file for a network; CaseError lists every mistake in it."""
    file = Path(path)
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaseError(file.name, [Mistake(file.name, 0, "", f"cannot be read: {error.strerror}")]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CaseError(file.name, [Mistake(file.name, 0, "", f"is not TOML: {error}")]) from None
    reader = _Reader(file.name, network)
    scenario = reader.scenario(file.stem, given)
    if reader.mistakes:
        raise CaseError(file.name, reader.mistakes)
    return scenario


_TOP = {"title": str, "happened": str, "source": str, "day": str, "hours": float, "step": str, "notes": str}
_CAUSE = {"quantity": str, "where": list, "value": float, "unit": str, "of": str, "by": str, "why": str, "at": str}
_EXPECT = {
    "text": str, "measure": str, "quantity": str, "where": list, "unit": str, "at": str, "mean": str,
    "direction": str, "published": float, "factor": float, "reason": str, "source": str, "at_least": float,
    "at_most": float, "answer": list, "level": float, "people": bool,
}  # fmt: skip
_WORDS = {str: "a text in quotes", float: "a number", list: "a name or a list of names", bool: "true or false"}


@dataclass
class _Reader:
    """One file being read: its mistakes so far."""

    file: str
    network: Network
    place: str = ""
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, key: str, text: str) -> None:
        self.mistakes.append(Mistake(self.file, 0, f"{self.place}{key}", text))

    def scenario(self, name: str, given: Mapping[str, Any]) -> Scenario:
        top = self.values({k: v for k, v in given.items() if k not in ("given", "event", "expect")}, _TOP)
        for key in ("title", "happened", "source", "hours"):
            if key not in top:
                self.wrong(key, "must be given")
        day = top.get("day", "")
        if day and day not in self.network.days:
            self.wrong("day", f"no day {day!r}{near(day, self.network.days)}")
        length = top.get("hours", 24.0)
        if not length > 0.0:
            self.wrong("hours", f"must be above 0, got {length:g}")
        step = self.time("step", top.get("step", "15min"))
        parts = {k: self.tables(k, given.get(k, [])) for k in ("given", "event", "expect")}
        causes = {k: [self.cause(k, i, row, length) for i, row in parts[k]] for k in ("given", "event")}
        expects = [self.expect(i, row, length) for i, row in parts["expect"]]
        self.place = ""
        if not parts["expect"]:
            self.wrong("expect", "a scenario says what must come out: [[expect]]")
        return Scenario(
            name, top.get("title", ""), top.get("happened", ""), top.get("source", ""), day, length, step,
            tuple(causes["given"]), tuple(causes["event"]), tuple(expects), top.get("notes", ""),
        )  # fmt: skip

    def tables(self, key: str, given: Any) -> list[tuple[int, Mapping[str, Any]]]:
        if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
            self.wrong(key, f"must be tables: [[{key}]]")
            return []
        return list(enumerate(given, start=1))

    def values(self, given: Mapping[str, Any], keys: Mapping[str, type]) -> dict[str, Any]:
        """Return what is given under the keys that exist, with their types."""
        found: dict[str, Any] = {}
        for key, value in given.items():
            wanted = keys.get(key)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if wanted is None:
                self.wrong(key, f"no such key{near(key, keys)}")
            elif wanted is list and (isinstance(value, str) or _names(value)):
                found[key] = (value,) if isinstance(value, str) else tuple(value)
            elif wanted is float and number and not isnan(value):
                found[key] = float(value)
            elif wanted in (str, bool) and isinstance(value, wanted):
                found[key] = value
            else:
                self.wrong(key, f"must be {_WORDS[wanted]}, got {value!r}")
        return found

    def time(self, key: str, text: str) -> float:
        try:
            return seconds(text)
        except SeraiError as error:
            self.wrong(key, str(error))
            return nan

    def cause(self, key: str, i: int, row: Mapping[str, Any], hours: float) -> Cause:
        self.place = f"{key} {i}, "
        v = self.values(row, _CAUSE)
        for need in ("quantity", "where", "value", "why", *(("at",) if key == "event" else ())):
            if need not in v and need not in row:
                self.wrong(need, "must be given")
        self.one_of("by", v.get("by", "nature"), ACTORS)
        self.one_of("of", v.get("of", ""), OF if key == "event" else OF[:2])
        quantity, where, of = v.get("quantity", ""), v.get("where", ()), v.get("of", "")
        q = QUANTITIES.get(quantity)
        if quantity and q is None:
            self.wrong("quantity", f"no quantity {quantity!r}{near(quantity, QUANTITIES)}")
        self.elements(quantity, where, q, quantities_of)
        if of and quantity and quantity not in MEASURABLE:
            self.wrong("of", f"{quantity} has no value in a state that it could be a part of")
        time = nan
        if key == "event":
            time = self.time("at", v.get("at", "00:00"))
            if not 0.0 <= time < 3600.0 * hours:
                self.wrong("at", f"lies outside the {hours:g} h of the scenario")
        elif "at" in v:
            self.wrong("at", "is for events; what is given holds from the start")
        value = v.get("value", nan) if of else self.si("value", v, q)
        return Cause(quantity, where, value, of, v.get("by", "nature"), v.get("why", ""), time)

    def expect(self, i: int, row: Mapping[str, Any], hours: float) -> Expect:
        self.place = f"expect {i}, "
        v = self.values(row, _EXPECT)
        for need in ("text", "measure", "quantity", "where", "source"):
            if need not in v and need not in row:
                self.wrong(need, "must be given")
        measure, quantity = v.get("measure", ""), v.get("quantity", "")
        q = MEASURABLE.get(quantity)
        self.one_of("measure", measure, MEASURES)
        self.one_of("direction", v.get("direction", ""), DIRECTIONS)
        if quantity and q is None:
            self.wrong("quantity", f"cannot be measured: {quantity!r}{near(quantity, MEASURABLE)}")
        self.elements(quantity, v.get("where", ()), q, measurable_of)
        if "published" in v and not (v.get("factor", 0.0) >= 1.0 and v.get("reason")):
            self.wrong(
                "factor",
                "a published size needs the factor within which the model must lie (1 or above), and its reason",
            )
        if not {"direction", "published", "at_least", "at_most", "answer"} & v.keys():
            self.wrong("", "says nothing that could be wrong: give direction, published, at_least, at_most or answer")
        if (measure == "first to reach") != ("answer" in v):
            self.wrong("answer", "belongs to the measure `first to reach`, which needs it")
        at = self.time("at", v["at"]) if "at" in v else 3600.0 * hours
        if not 0.0 < at <= 3600.0 * hours:
            self.wrong("at", f"lies outside the {hours:g} h of the scenario")
        hour = measure == "hours until"
        sizes = {
            k: 3600.0 * v[k] if hour else self.si(k, v, q, difference=measure == "change")
            for k in ("published", "at_least", "at_most")
            if k in v
        }
        return Expect(
            v.get("text", ""), measure, quantity, v.get("where", ()), v.get("unit", ""), at,
            self.time("mean", v["mean"]) if "mean" in v else 0.0, v.get("direction", ""),
            sizes.get("published", nan), v.get("factor", nan), v.get("reason", ""), v.get("source", ""),
            sizes.get("at_least", -inf), sizes.get("at_most", inf), v.get("answer", ()),
            self.si("level", v, q) if "level" in v else nan, v.get("people", True),
        )  # fmt: skip

    def one_of(self, key: str, value: str, allowed: tuple[str, ...]) -> None:
        if value not in allowed:
            self.wrong(key, f"must be one of {', '.join(a for a in allowed if a)}; got {value!r}{near(value, allowed)}")

    def elements(self, quantity: str, where: tuple[str, ...], q: Quantity | None, have: Any) -> None:
        for name in where:
            if name not in self.network:
                self.wrong("where", f"no element {name!r} in {self.network.name}{near(name, self.network._kinds)}")  # noqa: SLF001 - the names of a network
            elif q is not None and self.network.kind_of(name) not in q.kinds:
                kind = self.network.kind_of(name)
                self.wrong("quantity", f"{kind} have no {quantity} ({name}); they have {', '.join(have(kind))}")

    def si(self, key: str, v: Mapping[str, Any], q: Quantity | None, *, difference: bool = False) -> float:
        """Return a value in SI by the row's unit; differences have no zero offset."""
        unit = v.get("unit", "")
        if key not in v:
            return nan
        if unit not in UNITS:
            self.wrong("unit", f"no unit {unit!r}{near(unit, [u for u in UNITS if u])}")
            return nan
        if q is not None and UNITS[unit].dimension != q.dimension and not (unit == "" and q.dimension == "per unit"):
            units = " or ".join(u for u in UNITS if u and UNITS[u].dimension == q.dimension)
            self.wrong("unit", f"must be a unit of {q.dimension} ({units}), got {unit!r}" if units else "must be empty")
            return nan
        value = to_si(v[key], unit, self.network.gas.standard_density)
        return value - UNITS[unit].offset if difference else value


def _names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(n, str) for n in value)
