# SPDX-License-Identifier: Apache-2.0
"""What exists, as tables: the kinds of element, their columns, units, limits and defaults.

This page is the schema. Readers fill it, the case folder writes it, the documentation prints it. Inside a `Table`
every column is SI and has no unit in its name (`length`); in a file the unit is a suffix (`length_km`).
A column whose name starts with `x_` is carried along unread: it survives every round trip.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

REQUIRED = object()  # marks a column without which a row means nothing
STATUS = ("in service", "out of service", "planned")
CONFIDENCE = ("high", "medium", "low", "computed", "")


@dataclass(frozen=True)
class Column:
    """One column: its SI name, its unit in files, what may stand in it.

    unit      suffix in files (`km`); any unit of the same dimension is accepted when reading
    type      float, int, bool or str
    default   value where the file has none; REQUIRED refuses the row; nan means "not given"
    above, at_least, at_most   bounds in SI
    allowed   the only texts (type str)
    refers    tables, one of which must hold the name (type str; an empty text is "none" unless REQUIRED)
    own_unit  the row's column `unit` says the unit: "value", or "difference" (no zero offset: a sigma, a width)
    """

    name: str
    doc: str
    unit: str = ""
    type: type = float
    default: Any = nan
    above: float = -np.inf
    at_least: float = -np.inf
    at_most: float = np.inf
    allowed: tuple[str, ...] = ()
    refers: tuple[str, ...] = ()
    own_unit: str = ""

    @property
    def header(self) -> str:
        """The name in files, with its unit."""
        return f"{self.name}_{self.unit}" if self.unit else self.name


@dataclass(frozen=True)
class Kind:
    """One kind of element = one table = one file `network/<name>.csv`."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    named: bool = True  # rows carry a unique name

    def column(self, name: str) -> Column:
        """Look a column up by its SI name."""
        for c in self.columns:
            if c.name == name:
                return c
        msg = f"{self.name} has no column {name!r}"
        raise UnknownName(msg)


def _text(name: str, doc: str, **more: Any) -> Column:
    return Column(name, doc, type=str, **{"default": "", **more})


def _ref(name: str, doc: str, *tables: str, **more: Any) -> Column:
    return Column(name, doc, type=str, refers=tables, **{"default": REQUIRED, **more})


def _flag(name: str, doc: str, *, default: bool) -> Column:
    return Column(name, doc, type=bool, default=default)


NAME = Column("name", "unique among all elements of the case", type=str, default=REQUIRED)
_TAIL = (
    _text("status", "only what is in service takes part", default="in service", allowed=STATUS),
    _text("source", "where the row comes from"),
    _text("confidence", "low = synthetic or inferred; shown as such", allowed=CONFIDENCE),
)
_PLACE = (
    Column("latitude", "degrees north, WGS84", "deg"),
    Column("longitude", "degrees east, WGS84", "deg"),
    Column("x", "schematic position"),
    Column("y", "schematic position"),
)
_FLOW_LIMITS = (
    Column("flow_min", "smallest allowed flow", "kg_per_s"),
    Column("flow_max", "largest allowed flow", "kg_per_s"),
)
_ENDS = (
    _ref("from_node", "gas node at the start", "gas_nodes"),
    _ref("to_node", "gas node at the end", "gas_nodes"),
)
_STATION_LOSSES = (
    Column("pressure_loss_in", "constant loss before the station", "bar", default=0.0, at_least=0.0),
    Column("pressure_loss_out", "constant loss behind the station", "bar", default=0.0, at_least=0.0),
    Column("drag_factor_in", "loss coefficient zeta of the inlet piping", default=0.0, at_least=0.0),
    Column("drag_factor_out", "loss coefficient zeta of the outlet piping", default=0.0, at_least=0.0),
    Column("diameter_in", "diameter that drag_factor_in refers to", "mm", above=0.0),
    Column("diameter_out", "diameter that drag_factor_out refers to", "mm", above=0.0),
)

_TAP_KIND = _text(
    "tap_kind",
    "ratio: a step adds its voltage at its angle; ideal shift: a step turns by its angle, or by the chord tap_step",
    default="ratio",
    allowed=("ratio", "ideal shift"),
)


def _kind(name: str, doc: str, *columns: Column, named: bool = True) -> Kind:
    return Kind(name, doc, ((NAME,) if named else ()) + columns + (_TAIL if named else ()), named)


KINDS: dict[str, Kind] = {
    k.name: k
    for k in (
        # ---------------------------------------------------------------- gas
        _kind(
            "gas_nodes",
            "points of the gas network: pressure and withdrawal live here",
            _text("kind", "field, junction, town, border, ..."),
            *_PLACE,
            Column("height", "height above sea level", "m", default=0.0),
            Column("pressure_min", "lowest allowed pressure", "bara", at_least=0.0),
            Column("pressure_max", "highest allowed pressure", "bara", above=0.0),
        ),
        _kind(
            "supplies",
            "gas that enters at a node: field, entry, import, storage withdrawal",
            _ref("node", "gas node", "gas_nodes"),
            _text("kind", "field, entry, storage, ..."),
            *_FLOW_LIMITS,
            _text("needs_power", "load without which the supply stops", refers=("loads",)),
            Column("temperature", "gas temperature at entry", "degc", above=0.0),
            Column("gross_heating_value", "per standard volume", "mj_per_m3", above=0.0),
            Column("norm_density", "density at 0 C and 1.01325 bar", "kg_per_m3", above=0.0),
            Column("molar_mass", "of the gas", "kg_per_kmol", above=0.0),
            Column("critical_pressure", "pseudocritical", "bara", above=0.0),
            Column("critical_temperature", "pseudocritical", "k", above=0.0),
            Column("heat_capacity_a", "molar heat capacity = a + b T + c T2, J/(mol K)"),
            Column("heat_capacity_b", "see heat_capacity_a"),
            Column("heat_capacity_c", "see heat_capacity_a"),
        ),
        _kind(
            "offtakes",
            "gas that leaves at a node: city, industry, export, losses",
            _ref("node", "gas node", "gas_nodes"),
            _text("kind", "city, industry, export, losses, ..."),
            _text("region", "where it is counted"),
            _text("market", "buyer country of an export"),
            *_FLOW_LIMITS,
            Column("withdrawal_mean", "mean of a year of normal weather", "bcm_per_year", at_least=0.0),
            Column(
                "heat_share", "part of withdrawal_mean that follows degree days", default=0.0, at_least=0.0, at_most=1.0
            ),
        ),
        _kind(
            "pipes",
            "pipelines",
            *_ENDS,
            Column("length", "", "km", default=REQUIRED, above=0.0),
            Column("diameter", "inner diameter", "mm", default=REQUIRED, above=0.0),
            Column("roughness", "equivalent sand roughness", "mm", default=0.05, at_least=0.0),
            Column("friction_factor", "given Darcy factor; not given = the case's friction law", above=0.0),
            Column(
                "efficiency", "flow at the same pressures against the clean pipe", default=1.0, above=0.0, at_most=1.5
            ),
            Column("loss_coefficient", "sum of zeta of fittings along the pipe", default=0.0, at_least=0.0),
            Column("temperature", "gas temperature; not given = the case's", "degc", above=0.0),
            Column("pressure_max", "rating", "bara", above=0.0),
            *_FLOW_LIMITS,
            Column("heat_transfer_coefficient", "to the soil, for the temperature pass", "w_per_m2_k", at_least=0.0),
            _text("corridor", "the trunk line that it belongs to"),
            _text("parameter_confidence", "of diameter, roughness, efficiency", allowed=CONFIDENCE),
        ),
        _kind("short_pipes", "connections without resistance", *_ENDS, *_FLOW_LIMITS),
        _kind(
            "valves",
            "open: equal pressures; closed: no flow (set-point `open` 1 or 0; open where nothing is said)",
            *_ENDS,
            *_FLOW_LIMITS,
            Column("pressure_differential_max", "allowed across a closed valve", "bar", at_least=0.0),
            Column("diameter", "for loss_coefficient", "mm", above=0.0),
            Column("loss_coefficient", "zeta when open", default=0.0, at_least=0.0),
        ),
        _kind("check_valves", "flow only from -> to", *_ENDS, *_FLOW_LIMITS),
        _kind(
            "control_valves",
            "reduce the pressure; closed by `outlet_pressure`, `inlet_pressure`, `flow`, `pressure_drop` or `open`",
            *_ENDS,
            *_FLOW_LIMITS,
            Column("pressure_differential_min", "smallest drop when active", "bar"),
            Column("pressure_differential_max", "largest drop when active", "bar"),
            Column("pressure_in_min", "lowest inlet pressure", "bara", at_least=0.0),
            Column("pressure_out_max", "highest outlet pressure", "bara", above=0.0),
            *_STATION_LOSSES,
        ),
        _kind(
            "resistors",
            "a pressure loss: constant (pressure_loss) or by drag (drag_factor, diameter)",
            *_ENDS,
            *_FLOW_LIMITS,
            Column("pressure_loss", "constant loss in the direction of flow", "bar", at_least=0.0),
            Column("drag_factor", "zeta in dp = zeta rho v|v|/2", at_least=0.0),
            Column("diameter", "for drag_factor", "mm", above=0.0),
        ),
        _kind(
            "compressors",
            "compressor stations; closed by `ratio`, `outlet_pressure`, `inlet_pressure`, `flow`, `power` or `open`",
            *_ENDS,
            *_FLOW_LIMITS,
            Column("ratio_max", "largest pressure ratio", above=1.0),
            Column("power_max", "installed shaft power", "mw", at_least=0.0),
            Column("pressure_in_min", "lowest inlet pressure", "bara", at_least=0.0),
            Column("pressure_out_max", "highest outlet pressure", "bara", above=0.0),
            Column("efficiency", "adiabatic", default=0.80, above=0.0, at_most=1.0),
            *_STATION_LOSSES,
            Column("units", "machines installed", type=int, default=1, at_least=1),
            Column("stages", "in series", type=int, default=1, at_least=1),
        ),
        _kind(
            "drives",
            "what turns a compressor: gas turbine (burns from fuel_node) or electric motor (draws at bus)",
            _ref("compressor", "station", "compressors"),
            _text("kind", "", default=REQUIRED, allowed=("gas turbine", "electric motor")),
            _ref("fuel_node", "gas node of the fuel; not given = the station's inlet", "gas_nodes", default=""),
            _ref("bus", "bus of the motor", "buses", default=""),
            Column(
                "efficiency", "shaft power over fuel heat or electric power", default=REQUIRED, above=0.0, at_most=1.0
            ),
            Column(
                "power_factor", "of a motor, lagging; not given = it draws no reactive power", above=0.0, at_most=1.0
            ),
        ),
        # ------------------------------------------------------ compressor machines, in the units of their coefficients
        _kind(
            "machines",
            "compressor machines; head H = (1, Q, Q2) C (1, n, n2)T [kJ/kg] with Q [m3/s] at the inlet, n [1/min]",
            _ref("station", "", "compressors"),
            _text("kind", "turboCompressor or pistonCompressor"),
            _ref("drive", "", "machine_drives", default=""),
            Column("speed_min", "1/min, the unit of the coefficients", at_least=0.0),
            Column("speed_max", "1/min, the unit of the coefficients", at_least=0.0),
            *(Column(f"n_isoline_coeff_{k}", "C of the head, row by row") for k in range(1, 10)),
            *(Column(f"eta_ad_isoline_coeff_{k}", "C of the adiabatic efficiency, same form") for k in range(1, 10)),
            *(Column(f"surgeline_coeff_{k}", "surge line H = s1 + s2 Q + s3 Q2") for k in range(1, 4)),
            *(Column(f"chokeline_coeff_{k}", "choke line H = c1 + c2 Q + c3 Q2") for k in range(1, 4)),
            Column("efficiency_of_chokeline", "adiabatic", above=0.0, at_most=1.0),
        ),
        _kind(
            "machine_drives",
            "what turns a machine; shaft power P [kW] at ambient T [degC] and speed n [1/min]",
            _ref("station", "", "compressors"),
            _text("kind", "gasTurbine, gasDrivenMotor, electricMotor or steamTurbine"),
            *(Column(f"energy_rate_fun_coeff_{k}", "energy taken = e1 + e2 P + e3 P2 [kW]") for k in range(1, 4)),
            *(
                Column(f"power_fun_coeff_{k}", "largest P = (1, T, T2) C (1, n, n2)T row by row, or p1 + p2 n + p3 n2")
                for k in range(1, 10)
            ),
        ),
        _kind(
            "machine_points",
            "measured points of machines",
            _ref("machine", "", "machines"),
            _text("set", "characteristic diagram, surge line, ..."),
            Column("speed", "1/min"),
            Column("volumetric_flow", "m3/s at the inlet"),
            Column("adiabatic_head", "kJ/kg"),
            Column("adiabatic_efficiency", "of the line that the point is on", above=0.0, at_most=1.0),
            named=False,
        ),
        _kind(
            "drive_points",
            "measured points of drives",
            _ref("drive", "", "machine_drives"),
            _text("set", "energy consumption, largest power, ..."),
            Column("speed", "1/min"),
            Column("ambient_temperature", "", "degc", above=0.0),
            Column("power", "at the shaft", "kw"),
            Column("energy_rate", "taken as fuel or electricity", "kw"),
            named=False,
        ),
        _kind(
            "station_configurations",
            "how the machines of a station can be connected; a row per machine and stage",
            _ref("station", "", "compressors"),
            _text("configuration", "", default=REQUIRED),
            Column("serial_stages", "stages of the configuration", type=int, default=1, at_least=1),
            Column("stage", "counted from the inlet", type=int, default=1, at_least=1),
            Column("parallel_units", "machines side by side in this stage", type=int, default=1, at_least=1),
            _ref("machine", "", "machines"),
            Column("nominal_speed", "1/min", above=0.0),
            named=False,
        ),
        # -------------------------------------------------------------- power
        _kind(
            "buses",
            "points of the grid: angle, magnitude, active and reactive power live here",
            Column("voltage", "nominal, line to line", "kv", default=REQUIRED, above=0.0),
            *_PLACE,
            _text("region", ""),
            Column("magnitude_min", "lowest allowed voltage", "pu", default=nan, at_least=0.0),
            Column("magnitude_max", "highest allowed voltage", "pu", default=nan, above=0.0),
        ),
        _kind(
            "lines",
            "overhead lines and cables, a row per circuit, values per km",
            _ref("from_bus", "", "buses"),
            _ref("to_bus", "", "buses"),
            Column("length", "", "km", default=REQUIRED, above=0.0),
            Column("resistance", "series, per km", "ohm_per_km", default=REQUIRED),
            Column("reactance", "series, per km", "ohm_per_km", default=REQUIRED),
            Column("susceptance", "shunt, per km", "us_per_km", default=0.0),
            Column("conductance", "shunt, per km", "us_per_km", default=0.0),
            Column("parallel", "equal circuits", type=int, default=1, at_least=1),
            Column("current_max", "rating of one circuit", "ka", above=0.0),
            Column("rating_factor_hot", "multiplies current_max on a hot day", default=1.0, above=0.0),
            _text("conductor", ""),
            _text("parameter_confidence", "", allowed=CONFIDENCE),
        ),
        _kind(
            "transformers",
            "two windings, from the name plate",
            _ref("hv_bus", "high-voltage side", "buses"),
            _ref("lv_bus", "low-voltage side", "buses"),
            Column("rating", "of one unit", "mva", default=REQUIRED, above=0.0),
            Column("hv_voltage", "rated; not given = the bus's nominal", "kv", above=0.0),
            Column("lv_voltage", "rated; not given = the bus's nominal", "kv", above=0.0),
            Column("short_circuit_voltage", "vk", "percent", default=REQUIRED, above=0.0),
            Column("short_circuit_resistive", "real part of vk", "percent", default=0.0, at_least=0.0),
            Column("iron_loss", "", "kw", default=0.0, at_least=0.0),
            Column("no_load_current", "", "percent", default=0.0, at_least=0.0),
            Column("phase_shift", "angle of hv before lv", "deg", default=0.0),
            _text("tap_side", "", default="hv", allowed=("hv", "lv")),
            Column("tap_position", "present step", default=0.0),
            Column("tap_neutral", "", default=0.0),
            Column("tap_min", "", default=nan),
            Column("tap_max", "", default=nan),
            Column("tap_step", "voltage per step", "percent", default=0.0),
            Column("tap_step_angle", "of the step's voltage; 0 = in phase", "deg", default=0.0),
            _TAP_KIND,
            Column("leakage_resistance_share_hv", "part of the resistance before the iron", default=0.5),
            Column("leakage_reactance_share_hv", "part of the reactance before the iron", default=0.5),
            Column("parallel", "equal units", type=int, default=1, at_least=1),
            _text("parameter_confidence", "", allowed=CONFIDENCE),
        ),
        _kind(
            "transformers3",
            "three windings, from the name plate; vk of a pair refers to the smaller of its two ratings",
            _ref("hv_bus", "", "buses"),
            _ref("mv_bus", "", "buses"),
            _ref("lv_bus", "", "buses"),
            *(
                Column(f"{side}_{what}", f"{side} {doc}", unit, above=0.0, default=REQUIRED)
                for side in ("hv", "mv", "lv")
                for what, doc, unit in (("rating", "rating", "mva"), ("voltage", "rated voltage", "kv"))
            ),
            *(
                Column(f"{what}_{pair}", "", "percent", default=default)
                for pair in ("hv_mv", "mv_lv", "hv_lv")
                for what, default in (("short_circuit_voltage", REQUIRED), ("short_circuit_resistive", 0.0))
            ),
            Column("iron_loss", "", "kw", default=0.0, at_least=0.0),
            Column("no_load_current", "", "percent", default=0.0, at_least=0.0),
            Column("mv_phase_shift", "angle of hv before mv", "deg", default=0.0),
            Column("lv_phase_shift", "angle of hv before lv", "deg", default=0.0),
            _text("tap_side", "", default="hv", allowed=("hv", "mv", "lv")),
            Column("tap_position", "", default=0.0),
            Column("tap_neutral", "", default=0.0),
            Column("tap_min", "", default=nan),
            Column("tap_max", "", default=nan),
            Column("tap_step", "", "percent", default=0.0),
            Column("tap_step_angle", "", "deg", default=0.0),
            _TAP_KIND,
            _text("iron_loss_side", "where the iron sits", default="hv", allowed=("hv", "mv", "lv", "star")),
            _flag("tap_at_star_point", "tap changer at the star point instead of the terminal", default=False),
        ),
        _kind(
            "branches",
            "pi-branches in per unit of the case's base power and the buses' nominal voltages (MATPOWER form)",
            _ref("from_bus", "", "buses"),
            _ref("to_bus", "", "buses"),
            Column("resistance", "", "pu", default=REQUIRED),
            Column("reactance", "", "pu", default=REQUIRED),
            Column("conductance", "total shunt", "pu", default=0.0),
            Column("susceptance", "total charging", "pu", default=0.0),
            Column("conductance_from", "shunt at the from end beyond half of conductance", "pu", default=0.0),
            Column("conductance_to", "shunt at the to end beyond half of conductance", "pu", default=0.0),
            Column("susceptance_from", "shunt at the from end beyond half of susceptance", "pu", default=0.0),
            Column("susceptance_to", "shunt at the to end beyond half of susceptance", "pu", default=0.0),
            Column("tap_ratio", "from side; 0 in a MATPOWER file means 1", "pu", default=1.0, above=0.0),
            Column("phase_shift", "angle of from before to", "deg", default=0.0),
            Column("rating", "long-term", "mva", at_least=0.0),
            Column("rating_short_term", "", "mva", at_least=0.0),
            Column("rating_emergency", "", "mva", at_least=0.0),
            Column("angle_difference_min", "", "deg"),
            Column("angle_difference_max", "", "deg"),
        ),
        _kind(
            "shunts",
            "reactors (q above 0) and capacitors (q below 0), power at nominal voltage",
            _ref("bus", "", "buses"),
            Column("active_power", "drawn by one step at 1 pu", "mw", default=0.0),
            Column("reactive_power", "absorbed by one step at 1 pu", "mvar", default=0.0),
            Column("steps", "switched on", default=1.0, at_least=0.0),
            Column("voltage", "that the powers refer to; not given = the bus's nominal", "kv", above=0.0),
        ),
        _kind(
            "loads",
            "electricity that leaves at a bus; power(V) = set-point x (1 - z - i + i V + z V2)",
            _ref("bus", "", "buses"),
            _text("kind", "city, industry, export, ..."),
            _text("region", ""),
            _text("market", "buyer country of an export"),
            Column("power_factor", "gives the reactive power where no set-point does", above=0.0, at_most=1.0),
            Column("constant_impedance_active", "share z of active power", "percent", default=0.0),
            Column("constant_current_active", "share i of active power", "percent", default=0.0),
            Column("constant_impedance_reactive", "share z of reactive power", "percent", default=0.0),
            Column("constant_current_reactive", "share i of reactive power", "percent", default=0.0),
        ),
        _kind(
            "generators",
            "units; set-points `active_power` and either `magnitude` (controls its bus) or `reactive_power`",
            _ref("bus", "", "buses"),
            _text("plant", "power station"),
            _text("technology", ""),
            Column("active_power_min", "", "mw"),
            Column("active_power_max", "", "mw"),
            Column("active_power_max_summer", "on a hot day; not given = active_power_max", "mw"),
            Column("reactive_power_min", "", "mvar"),
            Column("reactive_power_max", "", "mvar"),
            Column("rating", "", "mva", above=0.0),
            Column(
                "participation", "share in what the island lacks; 0 = follows its set-point", default=0.0, at_least=0.0
            ),
        ),
        _kind(
            "switches",
            "breakers, disconnectors and couplers (set-point `closed` 1 or 0; closed where nothing is said)",
            _ref("bus", "", "buses"),
            _ref("to_bus", "other bus of a coupler", "buses", default=""),
            _ref(
                "branch",
                "branch whose end at `bus` it opens",
                "lines",
                "transformers",
                "transformers3",
                "branches",
                default="",
            ),
            _text("kind", "breaker, disconnector, load switch, coupler"),
        ),
        _kind(
            "hvdc_links",
            "direct-current links: a pair of injections; set-point `active_power` at the from bus",
            _ref("from_bus", "", "buses"),
            _ref("to_bus", "", "buses"),
            Column("active_power_min", "", "mw"),
            Column("active_power_max", "", "mw"),
            Column("loss_constant", "", "mw", default=0.0, at_least=0.0),
            Column("loss_share", "of the power sent", "percent", default=0.0, at_least=0.0),
            Column("reactive_power_min_from", "", "mvar"),
            Column("reactive_power_max_from", "", "mvar"),
            Column("reactive_power_min_to", "", "mvar"),
            Column("reactive_power_max_to", "", "mvar"),
        ),
        # -------------------------------------------------------------- links
        _kind(
            "plants",
            "gas-fired units: fuel heat = no_load + heat_rate P + heat_rate_slope P2",
            _ref("generator", "", "generators"),
            _ref("gas_node", "where the fuel is taken", "gas_nodes"),
            Column("heat_rate", "fuel heat over electric energy", "mj_per_kwh", default=REQUIRED, at_least=0.0),
            Column("no_load", "fuel heat at zero output", "mw", default=0.0, at_least=0.0),
            Column("heat_rate_slope", "W of heat per W2", default=0.0),
        ),
        # ------------------------------------------------------------- Knowns
        _kind(
            "instruments",
            "what the sensors report: a tag (name), the quantity of an element, how well, how often, by which way",
            _text("quantity", "one of quantities.MEASURABLE", default=REQUIRED),
            _text("where", "name of the element", default=REQUIRED),
            _text("unit", "suffix as in column names: of range_min, range_max, sigma and of what is sent"),
            Column("range_min", "lower end of the span, in `unit`", own_unit="value"),
            Column("range_max", "upper end of the span, in `unit`", own_unit="value"),
            Column(
                "sigma",
                "part of the standard deviation that no reading changes, in `unit`",
                default=0.0,
                own_unit="difference",
            ),
            Column("sigma_of_reading", "part of it that grows with the reading", "percent", default=0.0, at_least=0.0),
            _text("accuracy", "accuracy class in words"),
            Column("scan", "time between readings", "s", default=REQUIRED, above=0.0),
            _text("station", "the field station that reports it"),
            _text("protocol", "", allowed=("", "iec104", "opcua", "modbus", "mqtt")),
            _text("address", "of the point in its protocol"),
        ),
        _kind(
            "setpoints",
            "the case's own Knowns, per operating day; `where` is an element",
            _text("day", "operating day; not given = every day"),
            _text("quantity", "", default=REQUIRED),
            _text("where", "name of the element", default=REQUIRED),
            Column("value", "in `unit`", default=REQUIRED, own_unit="value"),
            _text("unit", "suffix as in column names"),
            _text("profile", "column of the day's profile that scales the value over the hours"),
            _text("source", ""),
            _text("confidence", "", allowed=CONFIDENCE),
            named=False,
        ),
    )
}


@dataclass(frozen=True)
class Table:
    """All elements of one kind: a name per row and one SI array per column.

    `table["length"]` is an array (n,), `table.names` a tuple of n texts, `table.row("P1")` a row number.
    """

    kind: str
    columns: Mapping[str, NDArray[Any]]
    _rows: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the names."""
        if "name" in self.columns:
            self._rows.update({str(n): i for i, n in enumerate(self.columns["name"])})

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return one column (n,), SI."""
        try:
            return self.columns[column]
        except KeyError:
            msg = f"{self.kind} has no column {column!r}; it has {', '.join(self.columns)}"
            raise UnknownName(msg) from None

    def __contains__(self, name: object) -> bool:
        """Tell whether an element of this name is in the table."""
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names, in row order."""
        return tuple(self._rows)

    def row(self, name: str) -> int:
        """Return the row of an element; UnknownName offers near names."""
        try:
            return self._rows[name]
        except KeyError:
            raise UnknownName(_not_found(name, self.kind, self.names)) from None

    def where(self, keep: NDArray[Any]) -> Table:
        """Return the rows where `keep` (mask or indices) holds."""
        return Table(self.kind, {c: v[keep] for c, v in self.columns.items()})

    def replace(self, **columns: Any) -> Table:
        """Return a copy with some columns exchanged."""
        return Table(self.kind, {**self.columns, **{c: np.asarray(v) for c, v in columns.items()}})

    def frame(self) -> pd.DataFrame:
        """Return a pandas frame, SI, indexed by name."""
        import pandas as pd  # noqa: PLC0415 - pandas only at the edge

        frame = pd.DataFrame(dict(self.columns))
        return frame.set_index("name") if "name" in frame else frame


def _not_found(name: str, kind: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for the message

    near = get_close_matches(name, names, 3, 0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no element {name!r} in {kind}{hint}"


def table(kind: str, rows: Sequence[Mapping[str, Any]] | None = None, /, **columns: Any) -> Table:
    """Build a table of `kind` from rows (dicts of SI values) or from columns; defaults fill what is not given.

    Unknown columns are refused unless they start with `x_`. Values are not validated here: `network.check` does that.
    """
    spec = KINDS[kind]
    if rows is not None:
        extras = sorted({k for r in rows for k in r if k.startswith("x_")})
        wanted = [c.name for c in spec.columns] + extras
        unknown = {k for r in rows for k in r} - set(wanted)
        columns = {c: [r.get(c) for r in rows] for c in wanted}
        n = len(rows)
    else:
        n = len(next(iter(columns.values()))) if columns else 0
        unknown = {k for k in columns if not k.startswith("x_")} - {c.name for c in spec.columns}
    if unknown:
        msg = f"{kind} has no column {', '.join(sorted(unknown))}"
        raise UnknownName(msg)
    out: dict[str, NDArray[Any]] = {}
    for c in spec.columns:
        given = columns.get(c.name)
        values = [None] * n if given is None else list(given)
        default = {float: nan, int: 0, bool: False, str: ""}[c.type] if c.default is REQUIRED else c.default
        filled = [default if v is None else v for v in values]
        out[c.name] = np.array(filled, dtype=object if c.type is str else c.type)
    for name, given in columns.items():
        if name.startswith("x_"):
            out[name] = np.array(["" if v is None else v for v in given], dtype=object)
    return Table(kind, out)
