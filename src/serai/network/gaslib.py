# SPDX-License-Identifier: Apache-2.0
"""GasLib networks: `.net` with its nomination (`.scn`) and machine data (`.cs`), loose or in one `.zip`.

Everything is read: what has a column is converted to SI, what has none travels as text in an `x_` column of GasLib's
own spelling, and `account` prints where each element and attribute went.

Choices that a reader must make:

- Volumes (1000m_cube_per_hour) are at norm conditions, 0 C and 1.01325 bar. All of them become mass by **one** density,
  the mean of the sources' normDensity weighted by their nominated flow (plain mean where none is nominated): with a
  density per source a nomination that balances in volume would not balance in mass. Each source keeps its own value.
- The same mean gives the gas its temperature, molar mass and pseudocritical point (Kay's rule).
- `bar` is absolute, `barg` gauge.
- Friction is Nikuradse's law of the rough pipe, compressibility Papay's: customary in the work that these networks were
  published for, such as Pfetsch et al., Validation of nominations in gas network optimization, Optim. Methods Softw.
  30(1), 2015, doi 10.1080/10556788.2014.888426. Neither needs a Reynolds number, and no viscosity is given. Against
  Colebrook-White it underestimates friction where a pipe is smooth: exchange `Network.gas.friction` to compare.
- GasLib says nothing of viscosity and heat capacity ratio, which are the usual values of natural gas, and nothing of
  the net heating value, which drives burn by: it is 0.9004 times the calorific value, as for methane.
- A nomination fixes flows only. To solve it, add a pressure and set-points for the active elements.

Reference: Schmidt et al., GasLib - A Library of Gas Network Instances, Data 2(4):40, 2017, doi 10.3390/data2040040.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from serai.errors import CaseError, Mistake, Untranslated
from serai.network import gaslib_scenario as scn
from serai.network import gaslib_stations as cs
from serai.network import gaslib_xml as xml
from serai.network.network import Gas, Network
from serai.network.tables import KINDS, table
from serai.units import STANDARD_ATMOSPHERE, ZERO_CELSIUS, to_si

if TYPE_CHECKING:
    from serai.network.gaslib_xml import Document, Element

Row = dict[str, Any]
PathLike = str | os.PathLike[str]

VISCOSITY = 1.1e-5  # Pa s, natural gas at pipeline conditions
HEAT_CAPACITY_RATIO = 1.3  # natural gas at pipeline conditions
NET_OF_GROSS = 0.9004  # molar heating values of methane, 802.7 over 891.5 kJ/mol (ISO 6976:2016, at 15 C)

_LARGEST_MEMBER = 256 * 2**20  # bytes; the largest GasLib file has 8 MB
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)  # the last: encrypted, or an unknown compression
_ROOTS = {"net": "network", "scn": "boundaryValue", "cs": "compressorStations"}

# GasLib parameter -> (column, dimension)
Spec = dict[str, tuple[str, str]]
_FLOWS: Spec = {"flowMin": ("flow_min", "norm volume flow"), "flowMax": ("flow_max", "norm volume flow")}
_NODE: Spec = {
    "height": ("height", "length"),
    "pressureMin": ("pressure_min", "pressure"),
    "pressureMax": ("pressure_max", "pressure"),
}
_SUPPLY: Spec = {
    **_FLOWS,
    "gasTemperature": ("temperature", "temperature"),
    "calorificValue": ("gross_heating_value", "heating value"),
    "normDensity": ("norm_density", "norm density"),
    "molarMass": ("molar_mass", "molar mass"),
    "pseudocriticalPressure": ("critical_pressure", "pressure"),
    "pseudocriticalTemperature": ("critical_temperature", "temperature"),
    **{f"coefficient-{k}-heatCapacity": (f"heat_capacity_{k.lower()}", "") for k in "ABC"},
}
_LOSSES: Spec = {
    **{f"pressureLoss{end}": (f"pressure_loss_{end.lower()}", "pressure difference") for end in ("In", "Out")},
    **{f"dragFactor{end}": (f"drag_factor_{end.lower()}", "") for end in ("In", "Out")},
    **{f"diameter{end}": (f"diameter_{end.lower()}", "length") for end in ("In", "Out")},
}
_STATION: Spec = {
    **_FLOWS,
    **_LOSSES,
    "pressureInMin": ("pressure_in_min", "pressure"),
    "pressureOutMax": ("pressure_out_max", "pressure"),
}
_DIFFERENTIAL_MAX: Spec = {"pressureDifferentialMax": ("pressure_differential_max", "pressure difference")}

# GasLib element -> (table, its parameters, those that it must have)
_NODES: dict[str, tuple[str, str, Spec]] = {
    "source": ("entry", "supplies", _SUPPLY),
    "sink": ("exit", "offtakes", _FLOWS),
    "innode": ("junction", "", {}),
}
_CONNECTIONS: dict[str, tuple[str, Spec, tuple[str, ...]]] = {
    "pipe": (
        "pipes",
        {
            **_FLOWS,
            "length": ("length", "length"),
            "diameter": ("diameter", "length"),
            "roughness": ("roughness", "length"),
            "pressureMax": ("pressure_max", "pressure"),
            "heatTransferCoefficient": ("heat_transfer_coefficient", "heat transfer"),
        },
        ("length", "diameter", "roughness"),
    ),
    "shortPipe": ("short_pipes", _FLOWS, ()),
    "valve": ("valves", {**_FLOWS, **_DIFFERENTIAL_MAX}, ()),
    "controlValve": (
        "control_valves",
        {
            **_STATION,
            **_DIFFERENTIAL_MAX,
            "pressureDifferentialMin": ("pressure_differential_min", "pressure difference"),
        },
        (),
    ),
    "resistor": (
        "resistors",
        {
            **_FLOWS,
            "dragFactor": ("drag_factor", ""),
            "diameter": ("diameter", "length"),
            "pressureLoss": ("pressure_loss", "pressure difference"),
        },
        (),
    ),
    "compressorStation": ("compressors", _STATION, ()),
}
_PLACE = {"x": "x", "y": "y", "geoWGS84Long": "longitude", "geoWGS84Lat": "latitude"}


class Accounted(NamedTuple):
    """Where one attribute of one kind of element went; attribute "" is the element itself, "#text" its text."""

    file: str
    element: str
    attribute: str
    in_file: int
    carried: int
    where: str


def read_gaslib(
    net_path: PathLike,
    scenario: PathLike | None = None,
    stations: PathLike | None = None,
    *,
    scenario_id: str | None = None,
    allow_loss: bool = False,
) -> Network:
    """Read a GasLib network; its nomination becomes set-points `supply` and `withdrawal`.

    net_path     a `.net` file, or a `.zip` that holds one
    scenario     `.scn` file; in a zip also the name of a member. Not given: the one called like the `.net`, if any
    stations     `.cs` file, found the same way
    scenario_id  which scenario of the file; not given = the first. `Network.sources` lists all of them
    allow_loss   go on without what cannot be carried over

    `Network.sources` also says whether the nomination balances and which flows it leaves free.
    Raises CaseError with all mistakes of the files (rows are line numbers), Untranslated with what would be lost.
    """
    network, documents = _read(net_path, scenario, stations, scenario_id)
    losses = [loss for document in documents for loss in document.losses()]
    if losses and not allow_loss:
        raise Untranslated(Path(net_path).name, losses)
    if losses:
        network = _with_source(network, "lost", "; ".join(losses))
    return network


def account(
    net_path: PathLike,
    scenario: PathLike | None = None,
    stations: PathLike | None = None,
    *,
    scenario_id: str | None = None,
) -> list[Accounted]:
    """Return where every element and attribute of the files went; `carried` below `in_file` means a loss.

    Arguments and CaseError as in `read_gaslib`.
    """
    _, documents = _read(net_path, scenario, stations, scenario_id)
    return [Accounted(*row) for row in xml.account(documents)]


def account_table(rows: list[Accounted]) -> str:
    """Return an accounting as a text table for printing."""
    head = Accounted._fields
    cells = [head, *(tuple(str(c) for c in row) for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    lines = []
    for row in cells:
        padded = [c.rjust(w) if k in {3, 4} else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


# -------------------------------------------------------------------------------------------------------------- files


def _open(net_path: PathLike, scenario: PathLike | None, stations: PathLike | None) -> dict[str, tuple[str, bytes]]:
    """Return role (net, scn, cs) -> (name, content) of the files that there are."""
    path = Path(net_path)
    given = {"scn": scenario, "cs": stations}
    try:
        if path.suffix.lower() != ".zip":
            return _open_folder(path, given)
        with zipfile.ZipFile(path) as archive:
            return _open_archive(path, archive, given)
    except _BAD_ZIP as error:
        raise CaseError(str(path), [Mistake(path.name, 0, "", f"is not a readable zip file: {error}")]) from None
    except OSError as error:
        name = Path(error.filename).name if error.filename else path.name
        raise CaseError(str(path), [Mistake(name, 0, "", f"cannot be read: {error.strerror}")]) from None


def _open_folder(path: Path, given: dict[str, PathLike | None]) -> dict[str, tuple[str, bytes]]:
    found = {"net": (path.name, path.read_bytes())}
    for role, wanted in given.items():
        file = Path(wanted) if wanted is not None else path.with_suffix(f".{role}")
        if wanted is not None or file.is_file():
            found[role] = (file.name, file.read_bytes())
    return found


def _open_archive(
    path: Path, archive: zipfile.ZipFile, given: dict[str, PathLike | None]
) -> dict[str, tuple[str, bytes]]:
    def refuse(text: str) -> CaseError:
        return CaseError(str(path), [Mistake(path.name, 0, "", text)])

    def content(member: str) -> tuple[str, bytes]:
        if archive.getinfo(member).file_size > _LARGEST_MEMBER:
            raise refuse(f"{member} is larger than {_LARGEST_MEMBER >> 20} MiB, which no GasLib file is")
        return PurePosixPath(member).name, archive.read(member)

    members = archive.namelist()
    nets = [m for m in members if m.lower().endswith(".net")]
    if len(nets) != 1:
        raise refuse(f"must hold one .net file, holds {', '.join(nets) or 'none'}")
    found = {"net": content(nets[0])}
    for role, wanted in given.items():
        if wanted is not None and Path(wanted).is_file():
            found[role] = (Path(wanted).name, Path(wanted).read_bytes())
            continue
        if wanted is None:
            matches = [m for m in members if m == f"{nets[0][:-4]}.{role}"]
        else:
            name = os.fspath(wanted)
            matches = [m for m in members if m == name] or [m for m in members if PurePosixPath(m).name == name]
        if len(matches) > 1:
            raise refuse(f"{wanted} is not unique; say which: {', '.join(matches)}")
        if not matches and wanted is not None:
            raise refuse(f"holds no {wanted}")
        if matches:
            found[role] = content(matches[0])
    return found


# ------------------------------------------------------------------------------------------------------------ reading


@dataclass
class _Draft:
    """A network being read from a `.net` document."""

    document: Document
    rows: dict[str, list[Row]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    lines: dict[str, int] = field(default_factory=dict)  # name -> line where it was given first
    nodes: set[str] = field(default_factory=set)
    sources: dict[str, str] = field(default_factory=dict)
    no_height_unit: int = 0

    def name(self, element: Element, kind: str) -> str:
        """Take the id of an element; a mistake where it is missing or not unique."""
        name = self.document.attribute(element, "id", f"{kind}.name")
        if name in self.lines:
            self.document.mistake(element, f"{name!r} is already the name of the element in line {self.lines[name]}")
        elif name:
            self.lines[name] = element.line
        return name

    def parameter(self, element: Element, kind: str, column: str, dimension: str, row: Row) -> None:
        """Take one parameter into a column; a mistake where the column does not allow the value."""
        unit = ""
        if element.tag == "height" and "unit" not in element.attributes:
            unit = "m"  # GasLib-24 gives heights of 200.0 without a unit
            self.no_height_unit += 1
        where = f"{row['name']} {element.tag}"
        value = self.document.value(element, dimension, f"{kind}.{column}", unit=unit, where=where)
        row[column] = value
        row[f"_{column}"] = " ".join(element.attributes[k] for k in ("value", "unit") if k in element.attributes)
        spec = KINDS[kind].column(column)
        if value is not None and (value <= spec.above or value < spec.at_least):
            words = f"above {spec.above:g}" if value <= spec.above else f"at least {spec.at_least:g}"
            self.document.mistake(element, f"must be {words}, got {element.attributes['value']}", where)


def _read(
    net_path: PathLike, scenario: PathLike | None, stations: PathLike | None, scenario_id: str | None
) -> tuple[Network, list[Document]]:
    """Read all files; the documents know what was carried where."""
    files = _open(net_path, scenario, stations)
    documents = {role: xml.parse(*files[role], _ROOTS[role]) for role in files}
    if scenario_id is not None and "scn" not in documents:
        raise CaseError(
            str(net_path), [Mistake(files["net"][0], 0, "", f"no .scn file holds scenario {scenario_id!r}")]
        )
    draft = _Draft(documents["net"])
    _read_net(draft)
    for role, document in documents.items():
        for name, text in document.root.attributes.items():
            draft.sources[f"{role}_{name}"] = text
            document.root.carry(f"sources.{role}_{name}", name)
    nomination = scn.Nomination()
    if "scn" in documents:
        nomination = scn.read_scenario(documents["scn"], scenario_id, draft.rows)
    if "cs" in documents:
        names = [r["name"] for r in draft.rows["compressors"]]
        for kind, rows in cs.read_stations(documents["cs"], names).items():
            draft.rows[kind] += rows
    _refuse_mistakes(net_path, documents)
    gas = _gas(draft, nomination)
    _to_mass(draft.rows, gas.standard_density)
    if "scn" in documents:
        scn.apply(documents["scn"], nomination, draft.rows, gas.standard_density)
        draft.sources |= scn.describe(nomination, draft.rows, gas.standard_density)
    _rate_stations(draft)
    _refuse_mistakes(net_path, documents)
    return _network(files["net"][0], draft, gas), list(documents.values())


def _refuse_mistakes(net_path: PathLike, documents: dict[str, Document]) -> None:
    mistakes = [m for document in documents.values() for m in document.mistakes]
    if mistakes:
        raise CaseError(str(net_path), mistakes)


def _read_net(draft: _Draft) -> None:
    """Read information, nodes and connections."""
    draft.document.root.carry("tables")
    parts = {"information": _information, "nodes": _nodes, "connections": _connections}
    # connections refer to nodes, wherever they stand
    for tag, read in parts.items():
        for part in draft.document.root.children:
            if part.tag == tag:
                part.carry("sources" if tag == "information" else "tables")
                read(draft, part)
    if not draft.nodes:
        draft.document.mistake(draft.document.root, "holds no nodes")


def _information(draft: _Draft, part: Element) -> None:
    for element in part.children:
        key = f"net_{element.tag}"
        if element.children or key in draft.sources:
            continue
        draft.sources[key] = element.text
        element.carry(f"sources.{key}", *([""] if not element.text else ["", xml.TEXT]))


def _nodes(draft: _Draft, part: Element) -> None:
    document = draft.document
    for element in part.children:
        if element.tag not in _NODES:
            continue
        side, tap_kind, tap_spec = _NODES[element.tag]
        element.carry(f"gas_nodes{f', {tap_kind}' if tap_kind else ''}")
        name = draft.name(element, "gas_nodes")
        row: Row = {"name": name, "kind": side, "source": document.file}
        tap: Row = {"name": f"{tap_kind[:-1].replace('supplie', 'supply')} {name}", "node": name, "kind": side}
        draft.nodes.add(name)
        for attribute, column in _PLACE.items():
            if attribute in element.attributes:
                text = document.attribute(element, attribute, f"gas_nodes.{column}")
                value = document.number(element, text, f"{name} {attribute}")
                if value is not None and attribute.startswith("geo"):
                    value = to_si(value, "deg")
                row[column] = value
        document.keep_attributes(element, row, "gas_nodes")
        for child in element.children:
            if child.tag in _NODE and _NODE[child.tag][0] not in row:
                draft.parameter(child, "gas_nodes", *_NODE[child.tag], row)
            elif child.tag in tap_spec and tap_spec[child.tag][0] not in tap:
                draft.parameter(child, tap_kind, *tap_spec[child.tag], tap)
            else:
                document.keep(child, row, "gas_nodes")
        draft.rows["gas_nodes"].append(row)
        if tap_kind:
            draft.rows[tap_kind].append({**tap, "source": document.file})


def _connections(draft: _Draft, part: Element) -> None:
    document = draft.document
    for element in part.children:
        if element.tag not in _CONNECTIONS:
            continue
        kind, spec, required = _CONNECTIONS[element.tag]
        element.carry(kind)
        row: Row = {"name": draft.name(element, kind), "source": document.file}
        for attribute, column in (("from", "from_node"), ("to", "to_node")):
            row[column] = document.attribute(element, attribute, f"{kind}.{column}")
            _check_node(draft, element, attribute, row[column])
        if "fuelGasVertex" in element.attributes:
            _check_node(draft, element, "fuelGasVertex", element.attributes["fuelGasVertex"])
        document.keep_attributes(element, row, kind)
        for child in element.children:
            if child.tag in spec and spec[child.tag][0] not in row:
                draft.parameter(child, kind, *spec[child.tag], row)
            else:
                document.keep(child, row, kind)
        given = {child.tag for child in element.children}
        for name in required:
            if name not in given:
                document.mistake(element, "must be given", f"{row['name']} {name}")
        if kind == "resistors" and "pressureLoss" not in given and not {"dragFactor", "diameter"} <= given:
            document.mistake(element, "must have pressureLoss, or dragFactor and diameter", row["name"])
        draft.rows[kind].append(row)


def _check_node(draft: _Draft, element: Element, attribute: str, name: str) -> None:
    if name and name not in draft.nodes:
        draft.document.mistake(element, f"{name!r} is no node of the network", attribute)


# ----------------------------------------------------------------------------------------------------------- assembly


def _gas(draft: _Draft, nomination: scn.Nomination) -> Gas:
    """Return the gas of the network: means of the sources, weighted by nominated flow where there is one."""
    supplies = draft.rows["supplies"]
    weights = [nomination.taps[r["node"]].fixed if r["node"] in nomination.taps else nan for r in supplies]
    weights = [w if isfinite(w) and w > 0.0 else 0.0 for w in weights]
    if not any(weights):
        weights = [1.0] * len(supplies)

    def mean(column: str) -> float:
        pairs = [(w, r[column]) for w, r in zip(weights, supplies, strict=True) if r.get(column) is not None]
        if not any(w for w, _ in pairs):  # only sources without a flow tell it
            pairs = [(1.0, value) for _, value in pairs]
        values = {value for w, value in pairs if w}
        if len(values) == 1:
            return float(values.pop())  # exact, where a weighted mean would round
        return sum(w * v for w, v in pairs) / sum(w for w, _ in pairs) if pairs else nan

    found = {
        "standard_density": mean("norm_density"),
        "molar_mass": mean("molar_mass"),
        "temperature": mean("temperature"),
        "critical_pressure": mean("critical_pressure"),
        "critical_temperature": mean("critical_temperature"),
    }
    missing = [name for name, value in found.items() if not isfinite(value)]
    if missing:
        told = f"no source gives the gas its {', '.join(missing).replace('_', ' ').replace('standard', 'norm')}"
        raise CaseError(draft.document.file, [Mistake(draft.document.file, 0, "nodes", told)])
    return Gas(
        temperature=found["temperature"],
        molar_mass=found["molar_mass"],
        standard_density=found["standard_density"],
        critical_pressure=found["critical_pressure"],
        critical_temperature=found["critical_temperature"],
        gross_heating_value=mean("gross_heating_value"),
        net_heating_value=NET_OF_GROSS * mean("gross_heating_value"),
        compressibility="papay",
        friction="nikuradse",
        viscosity=VISCOSITY,
        heat_capacity_ratio=HEAT_CAPACITY_RATIO,
        standard_temperature=ZERO_CELSIUS,
        standard_pressure=STANDARD_ATMOSPHERE,
    )


def _to_mass(rows: dict[str, list[Row]], density: float) -> None:
    """Turn the flow limits from m3/s at norm conditions into kg/s."""
    for kind_rows in rows.values():
        for row in kind_rows:
            for column in ("flow_min", "flow_max"):
                if row.get(column) is not None:
                    row[column] *= density


def _rate_stations(draft: _Draft) -> None:
    """Fill in what the machine data say of a station, and its drive where the fuel follows from them."""
    unknown = []
    for row in draft.rows["compressors"]:
        rating = cs.rate(draft.rows, row["name"])
        if not rating.units:
            continue
        row |= {"units": rating.units, "stages": max(rating.stages, 1)}
        for column, value in (("power_max", rating.power), ("efficiency", rating.efficiency)):
            if isfinite(value):
                row[column] = value
        if isfinite(rating.drive_efficiency):
            drive = {"name": f"drive {row['name']}", "compressor": row["name"], "kind": "gas turbine"}
            fuel = {"fuel_node": row.get("x_fuelGasVertex", ""), "efficiency": rating.drive_efficiency}
            draft.rows["drives"].append({**drive, **fuel, "source": "from machine_drives", "confidence": "computed"})
        else:
            unknown.append(row["name"])
    if unknown:
        draft.sources["no_fuel_data"] = f"the machine data give no efficiency of the drives of {', '.join(unknown)}"


def _network(file: str, draft: _Draft, gas: Gas) -> Network:
    if draft.no_height_unit:
        draft.sources["heights"] = f"{draft.no_height_unit} heights have no unit in {file}: read as m"
    if isfinite(gas.net_heating_value):
        draft.sources["net_heating_value"] = (
            f"{NET_OF_GROSS} of the calorific value: the ratio for methane, 802.7 over 891.5 kJ/mol (ISO 6976)"
        )
    zero = [r["name"] for r in draft.rows["pipes"] if r.get("roughness") == 0.0]
    if zero:
        draft.sources["zero_roughness"] = f"pipes without roughness: {', '.join(zero)}"
    tables = {
        kind: table(kind, [{c: v for c, v in row.items() if not c.startswith("_")} for row in rows])
        for kind, rows in draft.rows.items()
        if rows
    }
    sources = {"net": file, **draft.sources}
    return Network(
        name=Path(file).stem, title=draft.sources.get("net_title", ""), tables=tables, gas=gas, sources=sources
    )


def _with_source(network: Network, key: str, text: str) -> Network:
    return Network(
        name=network.name,
        title=network.title,
        tables=network.tables,
        gas=network.gas,
        sources={**network.sources, key: text},
    )
