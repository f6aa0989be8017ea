# SPDX-License-Identifier: Apache-2.0
"""Read a MATPOWER case file (.m, format version 2).

The file is read as data, not run: a statement other than `mpc.<field> = <number, text, matrix or cell array>` is code
that would change the data (case33bw turns ohms into per unit that way), so such a file is refused with its lines.

    bus 5         row of mpc.bus with BUS_I 5         generator 3   third row of mpc.gen
    load 5        where PD or QD is not zero          branch 12     twelfth row of mpc.branch
    shunt 5       where GS or BS is not zero          dc line 2     second row of mpc.dcline

Limits of infinity, ratings of 0 and angle limits of 360 degrees mean "none" in MATPOWER and are not given here.
Reference: R. D. Zimmerman, C. E. Murillo-Sanchez, MATPOWER User's Manual, version 8.0, appendix B,
doi:10.5281/zenodo.3236519.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import CaseError, Mistake, Untranslated
from serai.network.check import check
from serai.network.network import Network
from serai.network.tables import Table, table
from serai.units import to_si

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_BUS = "number type pd qd gs bs area vm va base_kv zone vmax vmin lam_p lam_q mu_vmax mu_vmin"
_GEN = (
    "bus pg qg qmax qmin vg mbase status pmax pmin pc1 pc2 qc1min qc1max qc2min qc2max ramp_agc ramp_10 ramp_30 ramp_q"
    " apf mu_pmax mu_pmin mu_qmax mu_qmin"
)
_BRANCH = (
    "fbus tbus r x b rate_a rate_b rate_c ratio angle status angmin angmax pf qf pt qt mu_sf mu_st mu_angmin mu_angmax"
)
_DCLINE = (
    "fbus tbus status pf pt qf qt vf vt pmin pmax qminf qmaxf qmint qmaxt loss0 loss1"
    " mu_pmin mu_pmax mu_qminf mu_qmaxf mu_qmint mu_qmaxt"
)
_COLUMNS = {
    "bus": (_BUS.split(), 13),  # names, how many a file must have
    "gen": (_GEN.split(), 10),
    "branch": (_BRANCH.split(), 11),
    "dcline": (_DCLINE.split(), 17),
}
_CARRIED = {*_COLUMNS, "version", "baseMVA", "gencost", "dclinecost", "areas", "bus_name", "gentype", "genfuel"}
_REFERENCES = (("gen", "bus"), ("branch", "fbus"), ("branch", "tbus"), ("dcline", "fbus"), ("dcline", "tbus"))
_PQ, _PV, _REFERENCE, _ISOLATED = 1, 2, 3, 4

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RATIO = re.compile(rf"({_NUMBER})\s*(?:/\s*(?:({_NUMBER})|sqrt\(({_NUMBER})\)))?")
_INDICES = re.compile(r"\[[\w,\s]*\]\s*=\s*idx_\w+")  # names of columns: changes no data
_QUOTED = re.compile(r"'(?:[^'\n]|'')*'|\"(?:[^\"\n]|\"\")*\"")


# ----------------------------------------------------------------------------------------------------- the file as data


@dataclass
class _File:
    """The fields of a case file, and what is wrong with it."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)  # field -> float, str, matrix or list of texts
    lines: dict[str, int] = field(default_factory=dict)  # field -> line on which it begins
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, line: int, text: str, column: str = "") -> None:
        """Add a mistake on a line."""
        self.mistakes.append(Mistake(self.name, line, column, text))

    def matrix(self, name: str) -> dict[str, Floats]:
        """Return column -> values (n,) of one of the known matrices; columns the file has not are zero."""
        names, _ = _COLUMNS[name]
        m = self.values.get(name, np.zeros((0, 0)))
        columns = {c: m[:, k] if k < m.shape[1] else np.zeros(len(m)) for k, c in enumerate(names)}
        return columns | {f"column_{k + 1}": m[:, k] for k in range(len(names), m.shape[1])}


def _statements(text: str) -> Iterator[tuple[int, str, str]]:
    """Return (line, statement, the same with its texts masked), without comments and continuations."""
    start, parts, masks, depth = 1, list[str](), list[str](), 0
    in_block = False
    for n, raw in enumerate(re.split("\r\n|\n|\r", text), start=1):
        if raw.strip() in ("%{", "%}"):
            in_block = raw.strip() == "%{"
            continue
        if in_block:
            continue
        mask = _QUOTED.sub(lambda m: "_" * len(m[0]), raw) if "'" in raw or '"' in raw else raw
        end = min((k for k in (mask.find("%"), mask.find("#"), mask.find("...")) if k >= 0), default=len(raw))
        goes_on = mask.startswith("...", end)
        if not parts:
            start = n
        parts.append(raw[:end] + (" " if goes_on else "\n"))
        masks.append(mask[:end] + (" " if goes_on else "\n"))
        depth += sum(mask[:end].count(c) for c in "[{(") - sum(mask[:end].count(c) for c in "]})")
        if depth <= 0 and not goes_on:
            yield from _split(start, "".join(parts), "".join(masks))
            parts, masks, depth = [], [], 0
    if parts:
        yield from _split(start, "".join(parts), "".join(masks))


def _split(start: int, text: str, mask: str) -> Iterator[tuple[int, str, str]]:
    """Split what stands on the same lines at semicolons outside of brackets."""
    depth, first = 0, 0
    for m in re.finditer(r"[\[{(]|[\]})]|;", mask) if mask.count("=") > 1 else ():
        depth += (m[0] in "[{(") - (m[0] in "]})")
        if m[0] == ";" and not depth:
            yield start + text.count("\n", 0, first), text[first : m.start()], mask[first : m.start()]
            first = m.end()
    yield start + text.count("\n", 0, first), text[first:], mask[first:]


def _parse(text: str, name: str) -> _File:
    """Read every field of the file; what is no data becomes a mistake."""
    file = _File(name)
    struct = "mpc"
    for line, statement, mask in _statements(text):
        short = statement.strip().rstrip(";,").strip()
        if not short or short in ("end", "endfunction", "return") or _INDICES.fullmatch(short):
            continue
        header = re.fullmatch(r"function\s+(\w+)\s*=\s*\w+\s*(\(\s*\))?", short)
        if header:
            struct = header[1]
        elif re.match(r"function\s*\[", short):
            file.wrong(line, "is a case of format version 1; convert it with MATPOWER's loadcase and savecase")
            break
        elif not (m := re.fullmatch(rf"{struct}\.([\w.]+)\s*=\s*(.+)", short, re.DOTALL)):
            file.wrong(line, _code(short))
        elif m[1] in file.values:
            file.wrong(line, f"{struct}.{m[1]} is given twice, first on line {file.lines[m[1]]}")
        else:
            file.lines[m[1]] = line
            file.values[m[1]] = _value(file, line, m[1], m[2], mask)
    return file


def _code(statement: str) -> str:
    first = " ".join(statement.split())
    shown = first if len(first) <= 60 else f"{first[:57]}..."
    return f"code is not run here: {shown}; save the case with MATPOWER's savecase and read that file"


def _value(file: _File, line: int, name: str, text: str, mask: str) -> Any:
    """Return the value of one field: float, text, matrix or list of texts."""
    if ratio := _RATIO.fullmatch(text):
        return _number(ratio)
    if _QUOTED.fullmatch(text):
        return text[1:-1].replace(text[0] * 2, text[0])
    inner = mask[mask.index("=") + 1 :].strip().rstrip(";,").strip()[1:-1]
    if text[0] + text[-1] == "[]" and not re.search(r"[\[\]{}]", inner):
        return _matrix(file, line, name, text[1:-1])
    if text[0] + text[-1] == "{}":
        rest = _QUOTED.sub("", text[1:-1])
        if not rest.strip(" \t\n,;"):
            return [q[1:-1].replace(q[0] * 2, q[0]) for q in _QUOTED.findall(text[1:-1])]
    if name in _CARRIED:
        file.wrong(line, _code(f"mpc.{name} = {text}"))
    return None


def _number(ratio: re.Match[str]) -> float:
    """Return a/b or a/sqrt(b) of literals: MATPOWER's own files have such cells."""
    return float(ratio[1]) / (float(ratio[3]) ** 0.5 if ratio[3] else float(ratio[2] or 1))


def _cell(text: str) -> float:
    ratio = _RATIO.fullmatch(text)
    return _number(ratio) if ratio else float(text)  # Inf, NaN


def _matrix(file: _File, line: int, name: str, body: str) -> Floats:
    rows: list[list[float]] = []
    for k, text in enumerate(body.split("\n")):
        for part in text.split(";"):
            cells = part.replace(",", " ").split()
            if not cells:
                continue
            try:
                rows.append([_cell(c) for c in cells])
            except ValueError:
                file.wrong(line + k, f"must hold numbers, got {part.strip()!r}", name)
                continue
            if len(rows[-1]) != len(rows[0]):
                file.wrong(line + k, f"has {len(rows.pop())} columns, the rows before have {len(rows[0])}", name)
    m = np.array(rows, dtype=float).reshape(len(rows), len(rows[0]) if rows else 0)
    least = _COLUMNS.get(name, ([], 0))[1]
    if len(m) and m.shape[1] < least:
        file.wrong(line, f"has {m.shape[1]} columns, must have {least} or more", name)
    return m


# -------------------------------------------------------------------------------------------------- the data as network


def read_matpower(path: str | os.PathLike[str], name: str | None = None, *, allow_loss: bool = False) -> Network:
    """Read a MATPOWER case of format version 2.

    Start values and what only MATPOWER uses come along in `x_` columns. The set-points are those of MATPOWER's power
    flow: angle of each reference bus, magnitude of generators at PV and reference buses, powers of everything else.
    `sources` says what had to be assumed. CaseError when the file cannot be read as data, or contradicts itself;
    Untranslated when it has fields that a network has no place for, unless `allow_loss`.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")  # old files have Latin-1 comments
    except OSError as error:
        raise CaseError(str(path), [Mistake(path.name, 0, "", f"cannot be read: {error.strerror}")]) from None
    file = _parse(text, path.name)
    _refuse(file, path)
    lost = [f"mpc.{f} (line {file.lines[f]})" for f in file.values if f not in _CARRIED]
    if lost and not allow_loss:
        raise Untranslated(str(path), lost)
    case = _Case(file)
    tables = {
        "buses": case.buses(),
        "loads": case.loads(),
        "shunts": case.shunts(),
        "generators": case.generators(),
        "branches": case.branches(),
        "hvdc_links": case.dc_lines(),
        "setpoints": case.setpoints(),
    }
    network = Network(
        name=name or path.stem,
        tables={kind: t for kind, t in tables.items() if len(t)},
        base_power=to_si(file.values["baseMVA"], "mva"),
        sources={"file": path.name, **case.assumed},
    )
    if mistakes := check(network):
        raise CaseError(str(path), mistakes)
    return network


def _refuse(file: _File, path: Path) -> None:
    """Raise CaseError when the file is no version 2 case, or when its matrices do not fit each other."""
    if file.mistakes and not file.values:
        raise CaseError(
            str(path), [Mistake(file.name, 0, "", "is no MATPOWER case: it sets no field of mpc"), *file.mistakes[:1]]
        )
    if not file.mistakes:
        version = file.values.get("version")
        if version not in ("2", 2.0):
            found = "has no mpc.version" if version is None else f"is of format version {version}"
            file.wrong(file.lines.get("version", 0), f"{found}; only version 2 can be read")
        for f in ("baseMVA", "bus", "gen", "branch"):
            if f not in file.values:
                file.wrong(0, f"mpc.{f} is missing")
    if not file.mistakes:
        _fit(file)
    if file.mistakes:
        raise CaseError(str(path), file.mistakes)


def _fit(file: _File) -> None:
    """Look for bus numbers that are odd, doubled or unknown, and for lists that do not fit the matrices."""
    base = file.values["baseMVA"]
    if not (isinstance(base, float) and 0 < base < inf):
        file.wrong(file.lines["baseMVA"], f"must be above 0, got {base}", "baseMVA")
    _fit_buses(file)
    known = set(file.matrix("bus")["number"])
    for matrix, column in _REFERENCES:
        for i, number in enumerate(file.matrix(matrix)[column] if matrix in file.values else ()):
            if number not in known:
                file.wrong(file.lines[matrix], f"row {i + 1}: no bus {number:.12g}", f"{matrix}.{column}")
    n = len(file.values["gen"])
    costs = file.values.get("gencost")
    if costs is not None and len(costs) not in (0, n, 2 * n):
        file.wrong(file.lines["gencost"], f"has {len(costs)} rows for {n} generators", "gencost")
    for f, rows in (("bus_name", len(known)), ("gentype", n), ("genfuel", n)):
        if len(file.values.get(f) or ()) not in (0, rows):
            file.wrong(file.lines[f], f"has {len(file.values[f])} texts, must have {rows}", f)


def _fit_buses(file: _File) -> None:
    line, buses = file.lines["bus"], file.matrix("bus")
    if not len(buses["number"]):
        file.wrong(line, "has no rows", "bus")
    seen: set[float] = set()
    for number, kind in zip(buses["number"], buses["type"], strict=True):
        if not float(number).is_integer():
            file.wrong(line, f"a bus number must be whole, got {number:.12g}", "bus")
        elif number in seen:
            file.wrong(line, f"bus {number:.12g} is given twice", "bus")
        if kind not in (_PQ, _PV, _REFERENCE, _ISOLATED):
            file.wrong(line, f"bus {number:.12g}: the type must be 1, 2, 3 or 4, got {kind:.12g}", "bus")
        seen.add(number)


def _limit(values: Floats, unit: str = "", *, none: Iterable[float] = ()) -> Floats:
    """Return limits in SI; nan where the file has infinity or one of `none`."""
    absent = ~np.isfinite(values) | np.isin(values, list(none))
    return np.where(absent, np.nan, _si(values, unit))


def _si(values: Floats, unit: str) -> Floats:
    return np.array([to_si(float(v), unit) for v in values]) if unit else values


def _text(value: float) -> str:
    short = f"{value:.15g}"
    return short if float(short) == value else repr(float(value))


def _extras(matrix: dict[str, Floats], names: Iterable[str]) -> dict[str, list[str]]:
    """Return `x_` columns for what a network has no column for; columns without anything but 0 are left out."""
    return {f"x_{c}": [_text(v) for v in matrix[c]] for c in names if matrix[c].any()}


def _named(columns: dict[str, Floats]) -> list[str]:
    return [c for c in columns if c.startswith(("column_", "mu_", "lam_"))]


class _Case:
    """The matrices of one file, and what they make of each other."""

    def __init__(self, file: _File) -> None:
        self.file = file
        self.assumed: dict[str, str] = {}
        self.bus, self.gen = file.matrix("bus"), file.matrix("gen")
        self.branch, self.dcline = file.matrix("branch"), file.matrix("dcline")
        self.names = [f"bus {n:.0f}" for n in self.bus["number"]]
        self.row = {float(n): i for i, n in enumerate(self.bus["number"])}
        self.isolated = self.bus["type"] == _ISOLATED
        self.gen_on = (self.gen["status"] > 0) & ~self._at(self.isolated, self.gen["bus"])
        self.type = self._types()

    def _at(self, values: NDArray[Any], numbers: Floats) -> NDArray[Any]:
        """Return the values of the buses with these numbers."""
        return values[[self.row[float(n)] for n in numbers]] if len(numbers) else values[:0]

    def _ends(self, numbers: Floats) -> list[str]:
        return [self.names[self.row[float(n)]] for n in numbers]

    def _status(self, on: NDArray[np.bool_], numbers: Sequence[Floats]) -> NDArray[Any]:
        """Return the status of what stands at these buses: nothing is in service at an isolated one."""
        for n in numbers:
            on = on & ~self._at(self.isolated, n)
        return np.where(on, "in service", "out of service").astype(object)

    def _types(self) -> NDArray[np.int64]:
        """Return the bus types as MATPOWER's power flow takes them: no control without a generator in service."""
        types = self.bus["type"].astype(int)
        has = np.isin(self.bus["number"], self.gen["bus"][self.gen_on])
        bare = np.isin(types, (_PV, _REFERENCE)) & ~has
        types[bare] = _PQ
        if bare.any():
            self.assumed["buses without a generator in service"] = (
                f"taken as PQ, as MATPOWER does: {', '.join(self.names[i] for i in np.nonzero(bare)[0])}"
            )
        if not (types == _REFERENCE).any() and (types == _PV).any():
            first = int(np.nonzero(types == _PV)[0][0])
            types[first] = _REFERENCE
            self.assumed["reference"] = f"{self.names[first]}, as MATPOWER does: the file names none in service"
        return types

    def buses(self) -> Table:
        """Return the buses, with their start values."""
        b = self.bus
        bare = b["base_kv"] <= 0
        if bare.any():
            self.assumed["nominal voltage"] = (
                f"1 kV where the file has none: {', '.join(self.names[i] for i in np.nonzero(bare)[0])}"
            )
        more: dict[str, Any] = {}
        if self.file.values.get("bus_name"):
            more["x_bus_name"] = self.file.values["bus_name"]
        areas = self.file.values.get("areas")
        if areas is not None and len(areas):
            reference = {self.row.get(float(bus), -1): _text(area) for area, bus in areas[:, :2]}
            more["x_area_reference"] = [reference.get(i, "") for i in range(len(self.names))]
        return table(
            "buses",
            name=self.names,
            voltage=np.where(bare, 1e3, _si(b["base_kv"], "kv")),
            magnitude_min=_limit(b["vmin"]),
            magnitude_max=_limit(b["vmax"], none=[0.0]),
            status=np.where(self.isolated, "out of service", "in service").astype(object),
            x_number=[_text(n) for n in b["number"]],
            x_type=[_text(n) for n in b["type"]],
            x_base_kv=[_text(n) for n in b["base_kv"]],
            x_magnitude_start=[_text(v) for v in b["vm"]],
            x_angle_start_deg=[_text(v) for v in b["va"]],
            **_extras(b, ["area", "zone", *_named(b)]),
            **more,
        )

    def loads(self) -> Table:
        """Return a load at each bus that draws power."""
        return self._at_buses("loads", "load", (self.bus["pd"] != 0) | (self.bus["qd"] != 0))

    def shunts(self) -> Table:
        """Return a shunt at each bus that has one; MATPOWER's BS is power injected, ours is absorbed."""
        here = (self.bus["gs"] != 0) | (self.bus["bs"] != 0)
        active, reactive = _si(self.bus["gs"][here], "mw"), _si(0.0 - self.bus["bs"][here], "mvar")
        return self._at_buses("shunts", "shunt", here, active_power=active, reactive_power=reactive)

    def _at_buses(self, kind: str, word: str, here: NDArray[np.bool_], **columns: Any) -> Table:
        numbers = self.bus["number"][here]
        return table(
            kind,
            name=[f"{word} {n:.0f}" for n in numbers],
            bus=self._ends(numbers),
            status=self._status(np.ones(len(numbers), bool), [numbers]),
            **columns,
        )

    def generators(self) -> Table:
        """Return the generators, a row of the file each."""
        g = self.gen
        more: dict[str, Any] = _extras(g, [*_GEN.split()[10:21], *_named(g)])
        n = len(g["bus"])
        costs = self.file.values.get("gencost")
        for k, column in enumerate(("x_cost", "x_cost_reactive")):
            if costs is not None and len(costs) >= (k + 1) * n > 0:
                more[column] = [" ".join(map(_text, row)) for row in costs[k * n : (k + 1) * n]]
        if self.file.values.get("gentype"):
            more["x_gentype"] = self.file.values["gentype"]
        return table(
            "generators",
            name=[f"generator {i + 1}" for i in range(n)],
            bus=self._ends(g["bus"]),
            technology=self.file.values.get("genfuel") or [""] * n,
            active_power_min=_limit(g["pmin"], "mw"),
            active_power_max=_limit(g["pmax"], "mw"),
            reactive_power_min=_limit(g["qmin"], "mvar"),
            reactive_power_max=_limit(g["qmax"], "mvar"),
            status=self._status(g["status"] > 0, [g["bus"]]),
            x_status=[_text(v) for v in g["status"]],
            x_active_power_start_mw=[_text(v) for v in g["pg"]],
            x_reactive_power_start_mvar=[_text(v) for v in g["qg"]],
            x_magnitude_start=[_text(v) for v in g["vg"]],
            x_base_mva=[_text(v) for v in g["mbase"]],
            **more,
        )

    def branches(self) -> Table:
        """Return the branches, a row of the file each."""
        b = self.branch
        free = (b["angmin"] == 0) & (b["angmax"] == 0)
        return table(
            "branches",
            name=[f"branch {i + 1}" for i in range(len(b["fbus"]))],
            from_bus=self._ends(b["fbus"]),
            to_bus=self._ends(b["tbus"]),
            resistance=b["r"],
            reactance=b["x"],
            susceptance=b["b"],
            tap_ratio=np.where(b["ratio"] == 0, 1.0, b["ratio"]),
            phase_shift=_si(b["angle"], "deg"),
            rating=_limit(b["rate_a"], "mva", none=[0.0]),
            rating_short_term=_limit(b["rate_b"], "mva", none=[0.0]),
            rating_emergency=_limit(b["rate_c"], "mva", none=[0.0]),
            angle_difference_min=_limit(np.where(free | (b["angmin"] <= -360), -inf, b["angmin"]), "deg"),
            angle_difference_max=_limit(np.where(free | (b["angmax"] >= 360), inf, b["angmax"]), "deg"),
            status=self._status(b["status"] != 0, [b["fbus"], b["tbus"]]),
            x_status=[_text(v) for v in b["status"]],
            x_tap_zero=["yes" if v == 0 else "" for v in b["ratio"]],
            **_extras(b, ["pf", "qf", "pt", "qt", *_named(b)]),
        )

    def dc_lines(self) -> Table:
        """Return the DC lines; their voltage set-points come along unread, because a link is a pair of injections."""
        d = self.dcline
        n = len(d["fbus"])
        costs = self.file.values.get("dclinecost")
        more: dict[str, Any] = {}
        if costs is not None and len(costs) == n > 0:
            more["x_cost"] = [" ".join(map(_text, row)) for row in costs]
        limits = {"min_from": "qminf", "max_from": "qmaxf", "min_to": "qmint", "max_to": "qmaxt"}
        return table(
            "hvdc_links",
            name=[f"dc line {i + 1}" for i in range(n)],
            from_bus=self._ends(d["fbus"]),
            to_bus=self._ends(d["tbus"]),
            active_power_min=_limit(d["pmin"], "mw"),
            active_power_max=_limit(d["pmax"], "mw"),
            loss_constant=_si(d["loss0"], "mw"),
            loss_share=d["loss1"],
            **{f"reactive_power_{ours}": _limit(d[theirs], "mvar") for ours, theirs in limits.items()},
            status=self._status(d["status"] != 0, [d["fbus"], d["tbus"]]),
            x_active_power_to_mw=[_text(v) for v in d["pt"]],
            x_magnitude_from=[_text(v) for v in d["vf"]],
            x_magnitude_to=[_text(v) for v in d["vt"]],
            **_extras(d, _named(d)),
            **more,
        )

    # ---------------------------------------------------------------------------------------------------- set-points

    def setpoints(self) -> Table:
        """Return the Knowns of MATPOWER's power flow."""
        rows: list[dict[str, Any]] = []

        def known(quantity: str, where: str, value: float, unit: str) -> None:
            rows.append({"quantity": quantity, "where": where, "value": to_si(float(value), unit), "unit": unit})

        for i in np.nonzero(self.type == _REFERENCE)[0]:
            known("angle", self.names[i], self.bus["va"][i], "deg")
        for i in np.nonzero((self.bus["pd"] != 0) | (self.bus["qd"] != 0))[0]:
            where = f"load {self.bus['number'][i]:.0f}"
            known("active_power", where, self.bus["pd"][i], "mw")
            known("reactive_power", where, self.bus["qd"][i], "mvar")
        controls = self._at(np.isin(self.type, (_PV, _REFERENCE)), self.gen["bus"])
        swings, magnitudes = self._swings(), self._magnitudes()
        for k, bus in enumerate(self.gen["bus"]):
            where = f"generator {k + 1}"
            if k not in swings:
                known("active_power", where, self.gen["pg"][k], "mw")
            if controls[k]:
                known("magnitude", where, magnitudes[float(bus)], "pu")
            else:
                known("reactive_power", where, self.gen["qg"][k], "mvar")
        for k in range(len(self.dcline["fbus"])):
            for quantity, column, unit in (
                ("active_power", "pf", "mw"),
                ("reactive_power_from", "qf", "mvar"),
                ("reactive_power_to", "qt", "mvar"),
            ):
                known(quantity, f"dc line {k + 1}", self.dcline[column][k], unit)
        return table("setpoints", rows)

    def _swings(self) -> set[int]:
        """Return the generators that make up what is lacking: the first in service at each reference bus."""
        reference = self._at(self.type == _REFERENCE, self.gen["bus"])
        first: dict[float, int] = {}
        for i in np.nonzero(reference & self.gen_on)[0]:
            first.setdefault(float(self.gen["bus"][i]), int(i))
        return set(first.values())

    def _magnitudes(self) -> dict[float, float]:
        """Return the voltage that holds at each bus with generators: the last one in service wins, as in MATPOWER."""
        given: dict[float, float] = {}
        on: dict[float, set[float]] = defaultdict(set)
        for running in (False, True):  # those out of service first: they count only where no other is
            for i in np.nonzero(self.gen_on == running)[0]:
                bus, magnitude = float(self.gen["bus"][i]), float(self.gen["vg"][i])
                given[bus] = magnitude
                if running:
                    on[bus].add(magnitude)
        odd = [f"bus {b:.0f}" for b, v in on.items() if len(v) > 1]
        if odd:
            self.assumed["differing voltages"] = f"the last generator's holds, as in MATPOWER: {', '.join(odd)}"
        return given
