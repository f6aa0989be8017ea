# SPDX-License-Identifier: Apache-2.0
"""Rationalisation: what an alarm is for, as data. No record, no alarm.

A case keeps its records in `alarms.toml`. A record stands for one condition or for a class of elements (a rule); each
says cause, consequence, response, the time there is to respond, priority, set point, dead band, delays, owner and
date (ISA-18.2 clause 6, IEC 62682 clause 9.2).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from datetime import date
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serai.alarms.states import Priority
from serai.errors import CaseError, Mistake, SeraiError
from serai.known import seconds
from serai.network import KINDS, Network, bundled
from serai.network.sheet import near
from serai.units import UNITS

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

FILE = "alarms.toml"
SOURCES = ("limit", "data", "diagnosis", "ahead", "solver")
SIDES = {"high": 1.0, "low": -1.0}
GROUPS = ("", "element", "station")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the rationalisation: a condition, or a rule for a class of elements.

    key            of the text in the catalogues, `pressure.high`; one record per key
    source         limit, data, diagnosis, ahead or solver
    priority       urgent, high, low or data
    text           in English, with {element}, {value}, {limit} and further parameters in braces
    cause, consequence, response   in English; in the catalogues `<key>.cause`, ...
    time_to_respond   [s]
    owner, date    who answers for it, and since when

    Of limits:
    quantity, side   what is held to the limit, and on which side: high or low
    kinds            of element; `only` their own `kind`, `elements` by name; empty = all
    set_point        a column of the element's table, or a number in `unit`; plus `offset` and times `factor`
    unit             in which value and limit are shown, and in which `offset` and `dead_band` are given

    How it behaves:
    dead_band        in `unit`: how far it must come back before it clears
    on_delay, off_delay   [s] that the condition must last
    latch            wants to be reset by hand after it has cleared
    group            first-out among the alarms of the same element or station
    explained_by     keys of alarms that explain this one: it is then noted under them, not told
    suppressed_when_stopped   not told while the plant says that the element stands still
    """

    key: str
    source: str
    priority: Priority
    text: str
    cause: str
    consequence: str
    response: str
    time_to_respond: float
    owner: str
    date: date
    quantity: str = ""
    side: str = ""
    kinds: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    set_point: str | float = nan
    offset: float = 0.0
    factor: float = 1.0
    unit: str = ""
    dead_band: float = 0.0
    on_delay: float = 0.0
    off_delay: float = 0.0
    latch: bool = False
    group: str = ""
    explained_by: tuple[str, ...] = ()
    suppressed_when_stopped: bool = False


@dataclass(frozen=True, slots=True)
class Philosophy:
    """What the site holds its alarms to; figures after EEMUA 191 and ISA-18.2 clause 16, kept as data.

    flood_begins, flood_ends, flood_window   alarms in the window [s] with which a flood begins; below which it ends
    chattering_count, chattering_window      alarms of one point within the window [s] that make it a chattering one
    stale                                    [s] after which a standing alarm is stale
    rate, peak                               alarms an operator can take: per 10 min on average, in the worst 10 min
    shares                                   of all alarms by priority (urgent, high, low)
    standing, stale_most, chattering_most    how many there may be
    acknowledged_within                      [s]
    shelving                                 longest time on the shelf [s] by priority; 0 = not at all
    """

    flood_begins: int = 10
    flood_ends: int = 5
    flood_window: float = 600.0
    chattering_count: int = 3
    chattering_window: float = 60.0
    stale: float = 86_400.0
    rate: float = 1.0
    peak: float = 10.0
    shares: Mapping[str, float] = field(default_factory=lambda: {"urgent": 0.05, "high": 0.15, "low": 0.8})
    standing: int = 10
    stale_most: int = 5
    chattering_most: int = 0
    acknowledged_within: float = 600.0
    shelving: Mapping[str, float] = field(
        default_factory=lambda: {"urgent": 0.0, "high": 3_600.0, "low": 28_800.0, "data": 86_400.0}
    )


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is true now, as a source tells it.

    key         of the record
    where       the element, tag, station or process it is about
    identity    what makes it the same condition from scan to scan; not given = `where`
    parameters  of the text: numbers in the units of the text, and words
    value, limit   SI; nan = none
    members     elements it may be about; another condition of the same key with one of them is the same alarm
    explains    elements whose deviations it explains
    """

    key: str
    where: str
    identity: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    value: float = nan
    limit: float = nan
    members: frozenset[str] = frozenset()
    explains: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rationale:
    """All records of a case, by key, and its philosophy."""

    records: Mapping[str, Record] = field(default_factory=dict)
    philosophy: Philosophy = field(default_factory=Philosophy)
    name: str = FILE

    def of_limits(self) -> list[Record]:
        """Return the records of limits."""
        return [r for r in self.records.values() if r.source == "limit"]

    def explaining(self) -> frozenset[str]:
        """Return the keys of alarms that explain others."""
        return frozenset(k for r in self.records.values() for k in r.explained_by)


def rationale(case: Network | str | os.PathLike[str]) -> Rationale:
    """Read the rationalisation of a case: a network of a bundled case, its name, a case folder or a .toml file.

    A case without the file has no alarms (an empty Rationale). CaseError lists every mistake.
    """
    name = case.name if isinstance(case, Network) else str(case)
    path = bundled().get(name, Path(name))
    file = path if path.suffix == ".toml" else path / FILE
    if not file.exists():
        if path.suffix == ".toml":
            raise CaseError(str(file), [Mistake(file.name, 0, "", "no such file")])
        return Rationale()
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CaseError(file.name, [Mistake(file.name, 0, "", f"is not TOML: {error}")]) from None
    return from_tables(given, file.name)


def from_tables(given: Mapping[str, Any], name: str = FILE) -> Rationale:
    """Return the rationalisation that TOML tables say; CaseError lists every mistake."""
    reader = _Reader(name)
    found = reader.read(given)
    if reader.mistakes:
        raise CaseError(name, reader.mistakes)
    return found


_NEEDED = ("key", "source", "priority", "text", "cause", "consequence", "response", "time_to_respond", "owner", "date")
_TIMES = ("time_to_respond", "on_delay", "off_delay", "flood_window", "chattering_window", "stale",
          "acknowledged_within")  # fmt: skip
_TEXTS = ("key", "source", "text", "cause", "consequence", "response", "owner", "quantity", "side", "unit", "group")
_LISTS = ("kinds", "only", "elements", "explained_by")
_FLAGS = ("latch", "suppressed_when_stopped")


@dataclass
class _Reader:
    """One file being read, with its mistakes so far."""

    file: str
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, place: str, text: str) -> None:
        self.mistakes.append(Mistake(self.file, 0, place, text))

    def read(self, given: Mapping[str, Any]) -> Rationale:
        for key in given.keys() - {"philosophy", "record"}:
            self.wrong(key, "no such table; there are [philosophy] and [[record]]")
        philosophy = self.philosophy(given.get("philosophy", {}))
        records: dict[str, Record] = {}
        for i, row in enumerate(given.get("record", []), start=1):
            r = self.record(f"record {row.get('key', i)}", row)
            if r is not None and r.key in records:
                self.wrong(f"record {r.key}", "is given twice: one key, one record")
            if r is not None:
                records[r.key] = r
        for r in records.values():
            for key in r.explained_by:
                if key not in records:
                    self.wrong(f"record {r.key}, explained_by", f"no record {key!r}{near(key, records)}")
                elif r.priority is Priority.URGENT:
                    self.wrong(f"record {r.key}, explained_by", "an urgent alarm is always told")
        return Rationale(records, philosophy, self.file)

    def philosophy(self, given: Mapping[str, Any]) -> Philosophy:
        values: dict[str, Any] = {}
        names = {f.name for f in fields(Philosophy)}
        for key, value in given.items():
            if key not in names:
                self.wrong(f"philosophy, {key}", f"no such key{near(key, names)}")
            elif key == "shelving":
                values[key] = {str(p): self.time(f"philosophy, shelving.{p}", t) for p, t in value.items()}
            elif key in _TIMES:
                values[key] = self.time(f"philosophy, {key}", value)
            else:
                values[key] = value
        found = Philosophy(**values)
        if found.shelving.get("urgent", 0.0) != 0.0:
            self.wrong("philosophy, shelving.urgent", "must be 0: urgent alarms cannot be shelved")
        return found

    def record(self, place: str, row: Mapping[str, Any]) -> Record | None:
        before = len(self.mistakes)
        names = {f.name for f in fields(Record)}
        for key in row.keys() - names:
            self.wrong(f"{place}, {key}", f"no such key{near(key, names)}")
        for key in _NEEDED:
            if row.get(key, "") == "":
                self.wrong(f"{place}, {key}", "must be given: no record without it")
        values = {k: self.value(f"{place}, {k}", k, v) for k, v in row.items() if k in names}
        if len(self.mistakes) > before:
            return None
        r = Record(**values)
        self.check(place, r)
        return r if len(self.mistakes) == before else None

    def value(self, place: str, key: str, given: Any) -> Any:
        """Return one value with its type."""
        if key in _TIMES:
            return self.time(place, given)
        if key == "priority":
            if given in tuple(Priority):
                return Priority(given)
            self.wrong(place, f"must be one of {', '.join(Priority)}; got {given!r}")
        elif key == "date":
            if type(given) is not date:
                self.wrong(place, f"must be a date (2026-11-22), got {given!r}")
        elif key in _LISTS:
            if isinstance(given, list) and all(isinstance(x, str) for x in given):
                return tuple(given)
            self.wrong(place, f"must be a list of names, got {given!r}")
        elif (key in _TEXTS and not isinstance(given, str)) or (key in _FLAGS and not isinstance(given, bool)):
            self.wrong(place, f"must be {'a text' if key in _TEXTS else 'true or false'}, got {given!r}")
        elif key in ("offset", "factor", "dead_band") and (
            isinstance(given, bool) or not isinstance(given, int | float)
        ):
            self.wrong(place, f"must be a number, got {given!r}")
        return given

    def time(self, place: str, given: Any) -> float:
        try:
            return seconds(given)
        except (SeraiError, TypeError):
            self.wrong(place, f"must be a time (30s, 10min, 2h), got {given!r}")
            return nan

    def check(self, place: str, r: Record) -> None:
        """Look at what must fit together."""
        if r.source not in SOURCES:
            self.wrong(f"{place}, source", f"must be one of {', '.join(SOURCES)}; got {r.source!r}")
        if r.group not in GROUPS:
            self.wrong(f"{place}, group", f"must be element or station; got {r.group!r}")
        if r.unit not in UNITS:
            self.wrong(f"{place}, unit", f"no unit {r.unit!r}{near(r.unit, UNITS)}")
        if min(r.dead_band, r.on_delay, r.off_delay) < 0.0 or isnan(r.dead_band):
            self.wrong(place, "dead band and delays must be 0 or above")
        if r.source == "limit":
            if r.side not in SIDES:
                self.wrong(f"{place}, side", f"must be high or low; got {r.side!r}")
            if not r.quantity or not r.kinds or (isinstance(r.set_point, float) and isnan(r.set_point)):
                self.wrong(place, "a limit names its quantity, kinds and set_point")
            self.columns(place, r)

    def columns(self, place: str, r: Record) -> None:
        for kind in r.kinds:
            if kind not in KINDS:
                self.wrong(f"{place}, kinds", f"no kind of element {kind!r}{near(kind, KINDS)}")
            elif isinstance(r.set_point, str):
                columns = [c.name for c in KINDS[kind].columns if c.type is float]
                if r.set_point not in columns:
                    self.wrong(
                        f"{place}, set_point",
                        f"{kind} have no number {r.set_point!r}{near(r.set_point, columns)}",
                    )


def unrecorded(book: Rationale, keys: Iterable[str]) -> list[str]:
    """Return the keys without a record, sorted: what a source may tell and nobody has rationalised."""
    return sorted(set(keys) - set(book.records))
