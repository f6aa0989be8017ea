# SPDX-License-Identifier: Apache-2.0
"""A case as a folder that a person can edit in a spreadsheet.

    case.toml             name, title, base power, frequency, [gas], [heat_demand], [[days]], [sources]
    network/<kind>.csv    one table per kind of element, units in the headers
    setpoints.csv         the case's own Knowns
    instruments.csv       what the sensors report
    profiles/<day>.csv    first column hour, then one column per profile

Any unit of the same dimension is accepted when reading; writing takes the schema's. Folder -> network -> folder ->
network changes no bit. Other files in the folder are left as they are.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import tomllib
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import CaseError, Mistake
from serai.network.check import HOURS, Places, check
from serai.network.network import COMPRESSIBILITY, FRICTION, Day, Gas, HeatDemand, Network
from serai.network.sheet import Read, near, number, number_text, read_sheet, read_table, resolve, sheet_text, table_text
from serai.network.tables import KINDS, REQUIRED, Column
from serai.units import from_si

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

CASE_FILE = "case.toml"
_BESIDE = ("instruments", "setpoints")  # the tables that stand beside case.toml, not in the folder network

# Keys of case.toml. Hz and the hours of the time zone are no units of the schema: their suffix is part of the key.
_TOP = (
    Column("name", "", type=str),
    Column("title", "", type=str),
    Column("base_power", "", "mva", above=0.0),
    Column("frequency_hz", "", above=0.0),
    Column("utc_offset_h", "", at_least=-24.0, at_most=24.0),
    Column("gas_day_start_h", "", at_least=0.0, at_most=24.0),
    Column("day", "", type=str),
)
_GAS = (
    Column("temperature", "", "degc", above=0.0),
    Column("molar_mass", "", "kg_per_kmol", above=0.0),
    Column("compressibility", "", type=str, allowed=COMPRESSIBILITY),
    Column("critical_pressure", "", "bara", above=0.0),
    Column("critical_temperature", "", "k", above=0.0),
    Column("viscosity", "", "pa_s", above=0.0),
    Column("friction", "", type=str, allowed=FRICTION),
    Column("heat_capacity_ratio", "", above=1.0),
    Column("net_heating_value", "", "mj_per_m3", above=0.0),
    Column("gross_heating_value", "", "mj_per_m3", above=0.0),
    Column("standard_temperature", "", "degc", above=0.0),
    Column("standard_pressure", "", "bara", above=0.0),
    Column("standard_density", "", "kg_per_m3", above=0.0),
)
_HEAT_DEMAND = (
    Column("base_temperature", "", "degc", default=REQUIRED, above=0.0),
    Column("degree_days_per_year", "", default=REQUIRED, above=0.0),
)
_DAY = (
    Column("name", "", type=str),
    Column("profiles", "", type=str),
    Column("note", "", type=str),
    Column("air_temperature", "", "degc", above=0.0),
    Column("hot", "", type=bool, default=False),
)
_ATTRIBUTE = {"frequency_hz": "frequency", "utc_offset_h": "utc_offset", "gas_day_start_h": "gas_day_start"}


# -------------------------------------------------------------------------------------------------------------- reading


@dataclass
class _Toml:
    """One table of case.toml being read: what it holds, and the mistakes found so far."""

    place: str  # "" or "gas."
    mistakes: list[Mistake]

    def wrong(self, key: str, text: str) -> None:
        """Add a mistake at a key."""
        self.mistakes.append(Mistake(CASE_FILE, 0, self.place + key, text))

    def values(self, given: Mapping[str, Any], columns: Sequence[Column], others: Sequence[str]) -> dict[str, Any]:
        """Return column -> SI value of everything given that is no sub-table named in `others`."""
        found: dict[str, Any] = {}
        for key, value in given.items():
            if key in others:
                continue
            meant = resolve(key, columns)
            if isinstance(meant, str):
                meant = (
                    near(key, [*others, *(c.header for c in columns)]) if meant.startswith("no such") else f"; {meant}"
                )
                self.wrong(key, f"no such key{meant}")
            elif meant[0].name in found:
                self.wrong(key, f"{meant[0].name} is given twice")
            else:
                found[meant[0].name] = self.value(key, value, *meant)
        return {k: v for k, v in found.items() if v is not None}

    def value(self, key: str, value: Any, c: Column, unit: str = "") -> Any:
        """Return the SI value of one key; None after a mistake."""
        if c.type in (str, bool):
            if isinstance(value, c.type) and (not c.allowed or value in c.allowed):
                return value
            wanted = "a text in quotes" if c.type is str else "true or false"
            wanted = f"one of {', '.join(c.allowed)}" if c.allowed else wanted
            self.wrong(key, f"must be {wanted}; got {_shown(value)}{near(str(value), c.allowed)}")
            return None
        try:
            si = number(_shown(value) if _is_number(value) else "", unit)
        except ValueError:
            self.wrong(key, f"must be a number, got {_shown(value)}")
            return None
        for bad, words, bound in (
            (si <= c.above, "above", c.above),
            (si < c.at_least, "at least", c.at_least),
            (si > c.at_most, "at most", c.at_most),
        ):
            if bad:
                self.wrong(key, f"must be {words} {from_si(bound, unit):.12g}, got {_shown(value)}")
                return None
        return si


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return str(value) if _is_number(value) else json.dumps(value, ensure_ascii=False, default=str)


def read_folder(path: str | os.PathLike[str]) -> Network:
    """Read a case folder; CaseError lists every mistake in it."""
    folder = Path(path)
    mistakes: list[Mistake] = []
    toml = _read_toml(folder)
    top = _Toml("", mistakes)
    head = top.values(toml, _TOP, ("gas", "heat_demand", "days", "sources"))
    gas = _read_gas(toml.get("gas", {}), mistakes)
    heat = _read_heat_demand(toml["heat_demand"], mistakes) if "heat_demand" in toml else None
    days = _read_days(folder, toml.get("days", []), mistakes)
    sources = _read_texts("sources", toml.get("sources", {}), mistakes)
    read = _read_tables(folder, gas.standard_density, mistakes)
    network = Network(
        name=head.pop("name", folder.resolve().name),
        day=head.pop("day", next(iter(days), "")),
        tables={kind: r.table for kind, r in read.items() if len(r.table)},
        gas=gas,
        heat_demand=heat,
        days=days,
        sources=sources,
        **{_ATTRIBUTE.get(k, k): v for k, v in head.items()},
    )
    places = Places(
        {kind: r.rows for kind, r in read.items()},
        {(kind, c): place for kind, r in read.items() for c, place in r.headers.items()},
    )
    known = {(m.file, m.row, m.column) for m in mistakes}
    # a cell, column or file that could not be read is not missing as well
    found = check(network, places)
    mistakes += [m for m in found if not {(m.file, m.row, m.column), (m.file, 1, m.column), (m.file, 0, "")} & known]
    if mistakes:
        raise CaseError(str(path), mistakes)
    return network


def _read_toml(folder: Path) -> dict[str, Any]:
    file = folder / CASE_FILE
    try:
        # Decimal keeps all digits: the exact round trip needs them
        return tomllib.loads(file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"), parse_float=Decimal)
    except FileNotFoundError:
        text = "is missing: a case folder has one" if folder.is_dir() else f"no folder {folder}"
    except OSError as error:
        text = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        text = f"must be UTF-8 text, but byte {error.start + 1} is not"
    except tomllib.TOMLDecodeError as error:
        text = f"is not TOML: {error}"
    raise CaseError(str(folder), [Mistake(CASE_FILE, 0, "", text)])


def _read_gas(given: Any, mistakes: list[Mistake]) -> Gas:
    if not isinstance(given, dict):
        mistakes.append(Mistake(CASE_FILE, 0, "gas", "must be a table: [gas]"))
        return Gas()
    toml = _Toml("gas.", mistakes)
    values = toml.values(given, _GAS, ("coefficients", "composition"))
    inner = Column("", "")
    coefficients = given.get("coefficients", [])
    if isinstance(coefficients, list):
        found = [toml.value("coefficients", v, inner) for v in coefficients]
        values["coefficients"] = tuple(v for v in found if v is not None)
    else:
        toml.wrong("coefficients", f"must be a list of numbers, got {_shown(coefficients)}")
    composition = given.get("composition", {})
    if isinstance(composition, dict):
        share = Column("", "", at_least=0.0, at_most=1.0)
        shares = {k: _Toml("gas.composition.", mistakes).value(k, v, share) for k, v in composition.items()}
        values["composition"] = {k: v for k, v in shares.items() if v is not None}
    else:
        toml.wrong("composition", "must be a table: [gas.composition]")
    return Gas(**values)


def _read_heat_demand(given: Any, mistakes: list[Mistake]) -> HeatDemand | None:
    if not isinstance(given, dict):
        mistakes.append(Mistake(CASE_FILE, 0, "heat_demand", "must be a table: [heat_demand]"))
        return None
    toml = _Toml("heat_demand.", mistakes)
    values = toml.values(given, _HEAT_DEMAND, ())
    for c in _HEAT_DEMAND:
        if c.name not in values and not any(resolve(k, [c])[0] is c for k in given):
            toml.wrong(c.header, "must be given")
    return HeatDemand(**values) if len(values) == len(_HEAT_DEMAND) else None


def _read_texts(place: str, given: Any, mistakes: list[Mistake]) -> dict[str, str]:
    if not isinstance(given, dict):
        mistakes.append(Mistake(CASE_FILE, 0, place, f"must be a table: [{place}]"))
        return {}
    toml = _Toml(f"{place}.", mistakes)
    texts = {k: toml.value(k, v, Column("", "", type=str)) for k, v in given.items()}
    return {k: v for k, v in texts.items() if v is not None}


def _read_days(folder: Path, given: Any, mistakes: list[Mistake]) -> dict[str, Day]:
    days: dict[str, Day] = {}
    if not isinstance(given, list) or not all(isinstance(d, dict) for d in given):
        mistakes.append(Mistake(CASE_FILE, 0, "days", "must be tables: [[days]]"))
        return days
    for i, d in enumerate(given, start=1):
        toml = _Toml(f"days {i}, ", mistakes)
        values = toml.values(d, _DAY, ())
        name = values.get("name", "")
        if not name:
            toml.wrong("name", "must be given")
            continue
        if name in days:
            toml.wrong("name", f"{name!r} is given twice")
        file = values.get("profiles", "")
        profiles = _read_profiles(folder, file, mistakes) if file else {}
        days[name] = Day(
            name, profiles, values.get("note", ""), values.get("air_temperature", np.nan), hot=values.get("hot", False)
        )
    return days


def _read_profiles(folder: Path, file: str, mistakes: list[Mistake]) -> dict[str, Any]:
    if not (folder / file).is_file():
        mistakes.append(Mistake(file, 0, "", "does not exist, but case.toml names it"))
        return {}
    before = len(mistakes)
    sheet = read_sheet(folder / file, file, mistakes)
    if len(mistakes) == before and sheet.headers[:1] != ("hour",):
        mistakes.append(Mistake(file, 1, "", "the first column must be hour"))
    if len(mistakes) == before and len(sheet.rows) < HOURS:
        mistakes.append(Mistake(file, 0, "", f"needs {HOURS} hours or more, got {len(sheet.rows)}"))
    profiles: dict[str, Any] = {}
    for k, header in enumerate(sheet.headers):
        values = np.full(len(sheet.rows), np.nan)
        if header in profiles or not header:
            mistakes.append(Mistake(file, 1, header, "is given twice" if header else f"column {k + 1} has no name"))
        for i, (row, cells) in enumerate(sheet.rows):
            try:
                values[i] = number(sheet.cell(cells[k]))
            except ValueError:
                mistakes.append(Mistake(file, row, header, f"must be a number, got {cells[k]!r}"))
                continue
            if k == 0 and values[i] != i:
                mistakes.append(Mistake(file, row, header, f"must be {i}: a row an hour from 0, got {cells[k]}"))
        profiles[header] = values
    profiles.pop("hour", None)
    # what is wrong has been said with its row: check shall not say it again
    return profiles if len(mistakes) == before else {k: np.zeros(HOURS) for k in profiles}


def _read_tables(folder: Path, density: float, mistakes: list[Mistake]) -> dict[str, Read]:
    read: dict[str, Read] = {}
    inside = [k for k in KINDS if k not in _BESIDE]
    for file in sorted((folder / "network").glob("*.csv")):
        if file.stem not in inside:
            hint = near(file.stem, inside) or f"; kinds: {', '.join(inside)}"
            mistakes.append(Mistake(file.name, 0, "", f"no kind of element is called {file.stem!r}{hint}"))
    for file in sorted(folder.glob("*.csv")):
        if file.stem in inside:
            mistakes.append(Mistake(file.name, 0, "", "belongs in the folder network"))
        elif file.stem not in _BESIDE and (meant := [k for k in _BESIDE if near(file.stem, [k])]):
            mistakes.append(Mistake(file.name, 0, "", f"is not read; did you mean {meant[0]}.csv?"))
    for kind in KINDS:
        path = folder / _place(kind)
        if path.exists():
            read[kind] = read_table(path, kind, density, mistakes)
    return read


def _place(kind: str) -> str:
    return f"{kind}.csv" if kind in _BESIDE else f"network/{kind}.csv"


# -------------------------------------------------------------------------------------------------------------- writing


def write_folder(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network as a case folder, whole or not at all.

    An older case in the same place is replaced, its other files kept. CaseError when the network holds mistakes (it
    could not be read back), or when `path` is something else than a case folder, an empty folder or nothing.
    """
    folder = Path(path)
    mistakes = check(network)
    if mistakes:
        raise CaseError(network.name, mistakes)
    if folder.exists() and not folder.is_dir():
        raise CaseError(str(path), [Mistake(folder.name, 0, "", "is a file; choose another name for the case folder")])
    if folder.is_dir() and not (folder / CASE_FILE).exists() and any(folder.iterdir()):
        text = f"is not a case folder (it has no {CASE_FILE}) and not empty; choose another"
        raise CaseError(str(path), [Mistake(folder.name, 0, "", text)])
    contents = _files(network)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        new = Path(temporary) / "new"
        if folder.is_dir():
            shutil.copytree(folder, new, ignore=_replaced(folder))
        for name, content in contents.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)
        _exchange(folder, new, Path(temporary) / "old")


def _replaced(folder: Path) -> Any:
    """Return the filter of copytree that leaves out what a case folder's writer writes itself."""
    own = {folder: {CASE_FILE, *(f"{k}.csv" for k in _BESIDE)}, folder / "network": {f"{k}.csv" for k in KINDS}}
    return lambda place, names: own.get(Path(place), set()) & set(names)


def _exchange(folder: Path, new: Path, old: Path) -> None:
    """Put `new` in the place of `folder`; when that fails, what was there stays there."""
    try:
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except BaseException:  # an interrupt too: `old` is deleted with the temporary folder
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise


def _files(network: Network) -> dict[str, bytes]:
    """Return file -> content of the whole case."""
    files: dict[str, str] = {}
    days: list[tuple[Day, str]] = []
    for day in network.days.values():
        name = _file_name(day.name, files) if day.profiles else ""
        days.append((day, name))
        if name:
            hours = range(len(next(iter(day.profiles.values()))))
            columns = [[number_text(float(v)) for v in values] for values in day.profiles.values()]
            files[name] = sheet_text(["hour", *day.profiles], zip(map(str, hours), *columns, strict=True))
    files[CASE_FILE] = _toml_text(network, days)
    for kind in KINDS:
        if len(network[kind]):
            files[_place(kind)] = table_text(network[kind], network.gas.standard_density)
    try:
        return {name: text.encode() for name, text in files.items()}
    except UnicodeEncodeError as error:
        text = f"holds a character that UTF-8 does not have: {error.object[error.start]!r}"
        raise CaseError(network.name, [Mistake(network.name, 0, "", text)]) from None


def _file_name(day: str, taken: Mapping[str, str]) -> str:
    stem = re.sub("[^A-Za-z0-9_-]", "_", day) or "day"
    names = (f"profiles/{stem}{'' if n == 1 else f'_{n}'}.csv" for n in range(1, len(taken) + 2))
    return next(name for name in names if name.lower() not in {t.lower() for t in taken})


def _toml_text(network: Network, days: Sequence[tuple[Day, str]]) -> str:
    attributes = {c.name: getattr(network, _ATTRIBUTE.get(c.name, c.name)) for c in _TOP}
    gas = network.gas
    lines = [*_keys(attributes, _TOP), "", "[gas]", *_keys({f.name: getattr(gas, f.name) for f in fields(gas)}, _GAS)]
    if gas.coefficients:
        lines.append(f"coefficients = [{', '.join(map(_toml_number, gas.coefficients))}]")
    if gas.composition:
        lines += ["", "[gas.composition]", *(f"{_key(k)} = {_toml_number(v)}" for k, v in gas.composition.items())]
    if network.heat_demand is not None:
        heat = network.heat_demand
        lines += ["", "[heat_demand]", *_keys({f.name: getattr(heat, f.name) for f in fields(heat)}, _HEAT_DEMAND)]
    for day, profiles in days:
        lines += ["", "[[days]]", f"name = {_toml_string(day.name)}"]
        lines += [f"profiles = {_toml_string(profiles)}"] if profiles else []
        lines += [f"note = {_toml_string(day.note)}"] if day.note else []
        lines += _keys({"air_temperature": day.air_temperature}, _DAY[3:4])
        lines += ["hot = true"] if day.hot else []
    if network.sources:
        lines += ["", "[sources]", *(f"{_key(k)} = {_toml_string(v)}" for k, v in network.sources.items())]
    return "\n".join(lines) + "\n"


def _keys(values: Mapping[str, Any], columns: Sequence[Column]) -> list[str]:
    lines = []
    for c in columns:
        value = values[c.name]
        if c.type is str:
            lines.append(f"{c.header} = {_toml_string(value)}")
        elif not np.isnan(value):  # a heating value may be unknown
            lines.append(f"{c.header} = {_toml_number(value, c.unit)}")
    return lines


def _toml_number(value: float, unit: str = "") -> str:
    text = number_text(float(value), unit)
    return "-0.0" if text == "-0" else text


def _toml_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _toml_string(key)
