# SPDX-License-Identifier: Apache-2.0
"""pandapipes gas networks as Serai networks.

pandapipes states pressures above the ambient pressure at the junction's height; here they become absolute. The
equations that pandapipes solves, and where Serai's laws differ, are in docs/pandapipes-equations.md.
"""

from __future__ import annotations

from math import isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import SeraiError
from serai.network.conversion import (
    Conversion,
    Draft,
    carried,
    flag,
    is_default,
    is_missing,
    name_of,
    need,
    number,
    places,
    records,
    text,
)
from serai.network.network import Gas
from serai.units import BAR, GAS_CONSTANT, STANDARD_ATMOSPHERE, ZERO_CELSIUS

if TYPE_CHECKING:
    from serai.network.network import Network

_USED = {
    "junction": "name height_m in_service type",
    "pipe": "name from_junction to_junction length_km inner_diameter_mm diameter_m k_mm loss_coefficient u_w_per_m2k"
    " in_service",
    "valve": "name junction element et from_junction to_junction inner_diameter_mm diameter_m opened loss_coefficient"
    " in_service",
    "sink": "name junction mdot_kg_per_s scaling in_service",
    "source": "name junction mdot_kg_per_s scaling in_service",
    "mass_storage": "name junction mdot_kg_per_s scaling in_service",
    "ext_grid": "name junction p_bar t_k in_service type",
    "compressor": "name from_junction to_junction pressure_ratio in_service",
    "pump": "name from_junction to_junction in_service",
    "press_control": "name from_junction to_junction controlled_junction controlled_p_bar control_active"
    " loss_coefficient in_service",
    "flow_control": "name from_junction to_junction controlled_mdot_kg_per_s control_active in_service",
}
# Columns that a hydraulic pipeflow does not read: starting values, heat, storage levels, drawing, imports.
_INERT = (
    "pn_bar tfluid_k type std_type sections text_k qext_w outer_diameter_mm init_m_stored_kg min_m_stored_kg"
    " max_m_stored_kg m_stored_kg profile_id geo alpha_w_per_m2k"
)
_HEAT = ("heat_consumer", "heat_exchanger", "circ_pump_mass", "circ_pump_pressure")
_HARMLESS = ("controller", "pipe_geodata", "junction_geodata", "output_writer")
_FRICTION = {
    "nikuradse": "nikuradse-laminar",
    "colebrook": "colebrook-white",
    "prandtl-colebrook": "colebrook-white",
    "swamee-jain": "swamee-jain",
}
CONTROL_DIAMETER = 0.1  # m, that pandapipes gives to elements without one: pressure and flow control


def ambient_pressure(height: float) -> float:
    """Ambient pressure [Pa] at a height [m] as pandapipes has it: 1.01325 bar (1 - 0.0065 h / 288.15)^5.255."""
    return float(1.01325 * BAR * (1.0 - 0.0065 * height / 288.15) ** 5.255)


def from_pandapipes(net: Any, *, allow_loss: bool = False) -> Network:
    """Convert a pandapipes gas network; Untranslated lists what it holds that would be lost.

    net         a pandapipesNet with a gas; it is not changed
    allow_loss  go on without what cannot be carried

    SeraiError where the fluid is a liquid or missing.

    >>> from pandapipes.networks import gas_one_pipe1
    >>> len(from_pandapipes(gas_one_pipe1())["pipes"])
    1
    """
    return convert_pandapipes(net).accept(_title(net), allow_loss=allow_loss)


def convert_pandapipes(net: Any) -> Conversion:
    """Convert a pandapipes gas network and report what is lost and what is noted; never refuses a gas."""
    pandapipes = need("pandapipes")
    return _Reader(net, str(pandapipes.__version__)).read()


def _title(net: Any) -> str:
    return str(net.get("name") or "pandapipes network")


class _Reader:
    """One conversion: pandapipes indices to names, then one method per pandapipes table."""

    def __init__(self, net: Any, version: str) -> None:
        fluid = net.get("fluid") if hasattr(net, "get") else None
        if "junction" not in net or fluid is None:
            raise SeraiError("from_pandapipes: not a pandapipes network with a fluid: junction or fluid is absent")
        if not fluid.is_gas:
            raise SeraiError(
                f"from_pandapipes: the fluid {fluid.name!r} is a liquid; Serai's pipes carry gas (water and heat"
                " networks cannot be converted)"
            )
        self.net, self.fluid, self.version, self.draft = net, fluid, version, Draft()
        self.junction = dict(records(net, "junction"))
        self.alive = {i: flag(r, "in_service", default=True) for i, r in self.junction.items()}
        self.node: dict[Any, str] = {}
        self.options = dict(net.get("user_pf_options") or {})
        self.temperatures = self._temperatures()
        self.rerouted: dict[tuple[Any, Any], str] = {}

    def read(self) -> Conversion:
        self._book()
        gas = self._gas()
        self._junctions()
        for step in (self._valves, self._pipes, self._fixed, self._references, self._machines, self._controls):
            step()
        about = f"pandapipes {self.version} network {_title(self.net)}, fluid {self.fluid.name}"
        sources = {"converted": about} | {f"note {k + 1}": n for k, n in enumerate(self.draft.notes)}
        return self.draft.finish(name=_title(self.net), title=_title(self.net), gas=gas, sources=sources)

    # ------------------------------------------------------------------ book of what is not carried

    def _book(self) -> None:
        for name in sorted(self.net.keys()):
            frame = self.net[name]
            if name.startswith(("_", "res_")) or not hasattr(frame, "columns") or not len(frame):
                continue
            if name in _USED:
                known = {*_USED[name].split(), *_INERT.split()}
                for column in frame.columns:
                    if column in known or "stanet" in column or is_default(frame[column].tolist()):
                        continue
                    self.draft.lost.append(f"{name}: column {column} is not understood (kept as x_{column})")
            elif name in _HEAT:
                self.draft.lost.append(f"{name}: {len(frame)} rows")
            elif name not in _HARMLESS:
                self.draft.lost.append(f"{name}: {len(frame)} rows of an unknown table")
            elif name != "junction_geodata":
                self.draft.notes.append(f"{name}: {len(frame)} rows are not carried; they do not change the physics")
        if self.options.get("mode", "hydraulics") not in {"hydraulics", "all"}:
            self.draft.notes.append(f"mode {self.options['mode']!r}: temperatures are given, not computed")

    def _rows(self, table: str) -> list[tuple[Any, dict[str, Any], dict[str, Any]]]:
        used = _USED[table].split()
        return [(i, r, carried(i, r, used)) for i, r in records(self.net, table)]

    def _status(self, row: dict[str, Any], *junctions: Any, on: str = "in_service") -> str:
        live = flag(row, on, default=True) and all(self.alive[j] for j in junctions)
        return "in service" if live else "out of service"

    def _absolute(self, gauge_bar: float, junction: Any) -> float:
        """Absolute pressure [Pa] of a pressure [bar] above the ambient pressure at the junction."""
        return gauge_bar * BAR + ambient_pressure(number(self.junction[junction], "height_m", 0.0))

    # ------------------------------------------------------------------ the gas

    def _temperatures(self) -> dict[Any, float]:
        """Temperature [K] of every junction: its own, or that of the external grid that feeds there."""
        found = {i: number(r, "tfluid_k", ZERO_CELSIUS + 20.0) for i, r in self.junction.items()}
        for _, r in records(self.net, "ext_grid"):
            if "t" in (text(r, "type") or "pt") and flag(r, "in_service", default=True):
                found[r["junction"]] = number(r, "t_k", found[r["junction"]])
        return found

    def _gas(self) -> Gas:
        """The gas: pandapipes knows it by its normal density, so the molar mass follows from that density."""
        values = sorted(self.temperatures.values())
        temperature = values[len(values) // 2] if values else ZERO_CELSIUS + 15.0
        density = float(self.fluid.get_density(ZERO_CELSIUS))
        offset, slope = self._compressibility()
        molar_mass = GAS_CONSTANT * ZERO_CELSIUS * density / STANDARD_ATMOSPHERE
        stated = self._property("molar_mass")
        if not isnan(stated) and abs(stated / 1e3 / molar_mass - 1.0) > 1e-9:
            self.draft.notes.append(
                f"fluid: the molar mass {stated} kg/kmol is replaced by {molar_mass * 1e3:.6f}, which gives the normal"
                " density that pandapipes computes pressure losses with"
            )
        friction = str(self.options.get("friction_model", "nikuradse"))
        if friction not in _FRICTION:
            self.draft.lost.append(f"friction_model {friction!r}; nikuradse is taken")
        kwh = 3.6e6 * density
        return Gas(
            temperature=temperature,
            molar_mass=molar_mass / offset,
            compressibility="linear" if slope else "ideal",
            coefficients=(slope / offset,) if slope else (),
            viscosity=float(self.fluid.get_viscosity(temperature)),
            friction=_FRICTION.get(friction, "nikuradse-laminar"),
            heat_capacity_ratio=self._heat_capacity_ratio(temperature, stated),
            net_heating_value=self._property("lhv") * kwh,
            gross_heating_value=self._property("hhv") * kwh,
            standard_temperature=ZERO_CELSIUS,
            standard_pressure=STANDARD_ATMOSPHERE,
            standard_density=density,
        )

    def _property(self, name: str) -> float:
        """A constant property of the fluid; nan where it has none."""
        held = self.fluid.all_properties.get(name)
        # some properties answer a bare number, some an array of one
        return float(np.ravel(held.get_at_value())[0]) if held is not None else nan

    def _heat_capacity_ratio(self, temperature: float, molar_mass: float) -> float:
        """cp/cv of an ideal gas with pandapipes' cp [J/(kg K)] and molar mass [kg/kmol]; 1.3 where one is missing."""
        if isnan(molar_mass) or "heat_capacity" not in self.fluid.all_properties:
            self.draft.notes.append("fluid: no molar mass or heat capacity; the heat capacity ratio is taken as 1.3")
            return 1.3
        cp, own = float(self.fluid.get_heat_capacity(temperature)), 8.314e3 / molar_mass
        return cp / (cp - own)

    def _compressibility(self) -> tuple[float, float]:
        """Return (offset, slope [1/Pa]) of Z = offset + slope p."""
        held = self.fluid.all_properties.get("compressibility")
        if held is None:
            self.draft.lost.append("fluid: no compressibility; an ideal gas is taken")
            return 1.0, 0.0
        slope, offset = getattr(held, "slope", None), getattr(held, "offset", None)
        if slope is not None and offset is not None:
            return float(offset), float(slope) / BAR
        kind = type(held).__name__
        if kind == "FluidPropertyConstant":
            return self._property("compressibility"), 0.0
        self.draft.lost.append(f"fluid: compressibility of kind {kind}; a line through 1 and 50 bar is taken")
        low, high = (float(self.fluid.get_compressibility(p, ZERO_CELSIUS + 15.0)) for p in (1.0, 50.0))
        slope = (high - low) / 49.0
        return low - slope, slope / BAR

    # ------------------------------------------------------------------ nodes and pipes

    def _junctions(self) -> None:
        points: dict[Any, tuple[float, float] | None] = {
            i: (number(r, "x"), number(r, "y")) for i, r in records(self.net, "junction_geodata")
        }
        points = {i: p for i, p in points.items() if p and not any(map(isnan, p))}
        runs = ((r["from_junction"], r["to_junction"], number(r, "length_km")) for _, r in records(self.net, "pipe"))
        place = places(points, runs)
        for i, r, extra in self._rows("junction"):
            self.node[i] = self.draft.add(
                "gas_nodes", name_of("junction", i, r), kind=text(r, "type"), height=number(r, "height_m", 0.0),
                status=self._status(r), **place.get(i, {}), **extra,
            )  # fmt: skip

    def _valves(self) -> None:
        """A valve joins two junctions, or a junction and a pipe's end, which then gets a node of its own."""
        pipes = dict(records(self.net, "pipe"))
        for i, r, extra in self._rows("valve"):
            junction = r.get("junction", r.get("from_junction"))
            other = r.get("element", r.get("to_junction"))
            ends: tuple[Any, ...] = (junction, other)
            if text(r, "et") == "pi":
                ends = (junction,)
                pipe = pipes[other]
                to_node = self._pipe_end(junction, other, pipe)
            else:
                to_node = self.node[other]
            name = self.draft.add(
                "valves", name_of("valve", i, r), from_node=self.node[junction], to_node=to_node,
                diameter=_diameter(r), loss_coefficient=number(r, "loss_coefficient", 0.0),
                status=self._status({}, *ends), **extra,
            )  # fmt: skip
            if not flag(r, "opened", default=True):
                self.draft.know("open", name, 0.0)

    def _pipe_end(self, junction: Any, pipe: Any, row: dict[str, Any]) -> str:
        """The node between a junction's valve and a pipe."""
        end = "from_junction" if row["from_junction"] == junction else "to_junction"
        if (pipe, end) not in self.rerouted:
            at = self.junction[junction]
            self.rerouted[pipe, end] = self.draft.add(
                "gas_nodes", f"valve end of {name_of('pipe', pipe, row)}", height=number(at, "height_m", 0.0),
                status=self._status({}, junction),
            )  # fmt: skip
        return self.rerouted[pipe, end]

    def _pipes(self) -> None:
        common = sorted(self.temperatures.values())[len(self.temperatures) // 2] if self.temperatures else nan
        for i, r, extra in self._rows("pipe"):
            ends = r["from_junction"], r["to_junction"]
            # the outlet keeps its junction's own value even where an external grid sets that junction's temperature
            out = number(self.junction[ends[1]], "tfluid_k", common)
            temperature = (self.temperatures[ends[0]] + out) / 2.0
            sections = int(number(r, "sections", 1))
            if sections > 1 and self.temperatures[ends[0]] != out:
                self.draft.notes.append(f"pipe {i}: {sections} sections of different temperature; their mean is taken")
            both = zip(("from_junction", "to_junction"), ends, strict=True)
            nodes = [self.rerouted.get((i, end), self.node[j]) for end, j in both]
            self.draft.add(
                "pipes", name_of("pipe", i, r), from_node=nodes[0], to_node=nodes[1],
                length=r["length_km"] * 1e3, diameter=_diameter(r), roughness=number(r, "k_mm", 0.0) / 1e3,
                # pandapipes counts the loss coefficient once in every section
                loss_coefficient=number(r, "loss_coefficient", 0.0) * sections,
                temperature=temperature if temperature != common else nan,
                heat_transfer_coefficient=number(r, "u_w_per_m2k"), status=self._status(r, *ends), **extra,
            )  # fmt: skip

    # ------------------------------------------------------------------ what feeds and draws

    def _fixed(self) -> None:
        """Sinks, sources and storages: a given mass flow."""
        for table, kind, quantity, sort in (
            ("sink", "offtakes", "withdrawal", ""),
            ("mass_storage", "offtakes", "withdrawal", "storage"),
            ("source", "supplies", "supply", ""),
        ):
            for i, r, extra in self._rows(table):
                name = self.draft.add(
                    kind, name_of(table, i, r), node=self.node[r["junction"]], kind=sort,
                    status=self._status(r, r["junction"]), **extra,
                )  # fmt: skip
                flow = number(r, "mdot_kg_per_s", 0.0) * number(r, "scaling", 1.0)
                self.draft.know(quantity, name, flow, "kg_per_s")

    def _references(self) -> None:
        """External grids: a given pressure; the flow follows. Several at one junction hold their mean."""
        grids = self._rows("ext_grid")
        held: dict[Any, list[float]] = {}
        for _, r, _x in grids:
            if "p" in (text(r, "type") or "pt") and flag(r, "in_service", default=True):
                held.setdefault(r["junction"], []).append(number(r, "p_bar"))
        done: set[Any] = set()
        for i, r, extra in grids:
            kind = text(r, "type") or "pt"
            junction = r["junction"]
            name = self.draft.add(
                "supplies", name_of("ext_grid", i, r), node=self.node[junction], kind="external grid",
                temperature=number(r, "t_k") if "t" in kind else nan, status=self._status(r, junction),
                x_type=kind, **extra,
            )  # fmt: skip
            if "p" not in kind or junction in done:
                self.draft.notes.append(f"ext_grid {i}: gives no pressure of its own; set to no flow")
                self.draft.know("supply", name, 0.0, "kg_per_s")
                continue
            pressures = held.get(junction, [number(r, "p_bar")])
            self.draft.know("pressure", name, self._absolute(sum(pressures) / len(pressures), junction), "bara")
            if flag(r, "in_service", default=True):
                done.add(junction)

    def _between(self, table: str, kind: str, i: Any, r: dict[str, Any], **columns: Any) -> str:
        """Add an element between two junctions."""
        a, b = r["from_junction"], r["to_junction"]
        columns |= {"from_node": self.node[a], "to_node": self.node[b], "status": self._status(r, a, b)}
        return self.draft.add(kind, name_of(table, i, r), **columns)

    def _machines(self) -> None:
        for i, r, extra in self._rows("compressor"):
            # pandapipes' compression work is adiabatic without losses
            name = self._between("compressor", "compressors", i, r, efficiency=1.0, **extra)
            heights = [number(self.junction[r[f"{e}_junction"]], "height_m", 0.0) for e in ("from", "to")]
            if heights[0] != heights[1]:
                self.draft.notes.append(
                    f"compressor {i}: its ends differ in height; pandapipes adds the weight of the gas between them"
                )
            self.draft.know("ratio", name, r["pressure_ratio"])
        for i, r, extra in self._rows("pump"):
            self.draft.lost.append(f"pump {i}: its curve of lift (carried as a compressor without lift)")
            name = self._between("pump", "compressors", i, r, **extra)
            self.draft.know("ratio", name, 1.0)

    def _controls(self) -> None:
        """Pressure and flow control: control valves; without control, valves of 0.1 m."""
        for table in ("press_control", "flow_control"):
            for i, r, extra in self._rows(table):
                if not flag(r, "control_active", default=True):
                    zeta = number(r, "loss_coefficient", 0.0)
                    self._between(table, "valves", i, r, diameter=CONTROL_DIAMETER, loss_coefficient=zeta, **extra)
                    continue
                extra["x_loss_coefficient"] = number(r, "loss_coefficient")
                name = self._between(table, "control_valves", i, r, **extra)
                if table == "flow_control":
                    self.draft.know("flow", name, r["controlled_mdot_kg_per_s"], "kg_per_s")
                else:
                    self._controlled_pressure(i, name, r)

    def _controlled_pressure(self, index: Any, name: str, r: dict[str, Any]) -> None:
        at = r["controlled_junction"]
        pressure = self._absolute(r["controlled_p_bar"], at)
        if at == r["to_junction"]:
            self.draft.know("outlet_pressure", name, pressure, "bara")
        elif at == r["from_junction"]:
            self.draft.know("inlet_pressure", name, pressure, "bara")
        else:
            self.draft.lost.append(f"press_control {index}: controls junction {at}, which is not one of its ends")
            self.draft.know("outlet_pressure", name, pressure, "bara")


def _diameter(r: dict[str, Any]) -> float:
    """Inner diameter [m]; the column was called diameter_m before pandapipes 0.13."""
    value = r.get("inner_diameter_mm")
    return number(r, "diameter_m") if is_missing(value) else float(value) / 1e3  # type: ignore[arg-type]
