# SPDX-License-Identifier: Apache-2.0
"""pandapower networks as Serai networks.

The converted network has the steady balanced answer of `pandapower.runpp(net)` with its default options; every
equation that this takes is written in docs/converters.md. Supply is positive for generators, consumption for loads.
"""

from __future__ import annotations

from math import asin, atan2, cos, hypot, pi, radians, sin, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import SeraiError
from serai.network.branches import pi_branches
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
    point,
    records,
    text,
)
from serai.network.network import Network
from serai.network.tables import table as build

if TYPE_CHECKING:
    from collections.abc import Mapping

MEGA, KILO = 1e6, 1e3

# Tables without a counterpart. Those in _HARMLESS do not change the balanced steady state: they become notes.
_HOPELESS = (
    "svc", "tcsc", "ssc", "vsc", "bi_vsc", "b2b_vsc", "bus_dc", "line_dc", "load_dc", "source_dc", "gen_dc", "sgen_dc",
)  # fmt: skip
_HARMLESS = ("controller", "group", "measurement", "poly_cost", "pwl_cost", "protection", "profiles")

# Columns that are understood, per table; the other columns travel as x_ columns.
_USED = {
    "bus": "name vn_kv zone in_service geo max_vm_pu min_vm_pu",
    "line": "name from_bus to_bus length_km r_ohm_per_km x_ohm_per_km c_nf_per_km g_us_per_km max_i_ka df parallel"
    " in_service",
    "trafo": "name hv_bus lv_bus sn_mva vn_hv_kv vn_lv_kv vk_percent vkr_percent pfe_kw i0_percent shift_degree"
    " tap_side tap_neutral tap_min tap_max tap_step_percent tap_step_degree tap_pos tap_changer_type"
    " tap_dependency_table id_characteristic_table parallel in_service"
    " leakage_resistance_ratio_hv leakage_reactance_ratio_hv",
    "trafo3w": "name hv_bus mv_bus lv_bus sn_hv_mva sn_mv_mva sn_lv_mva vn_hv_kv vn_mv_kv vn_lv_kv vk_hv_percent"
    " vk_mv_percent vk_lv_percent vkr_hv_percent vkr_mv_percent vkr_lv_percent pfe_kw i0_percent shift_mv_degree"
    " shift_lv_degree tap_side tap_neutral tap_min tap_max tap_step_percent tap_step_degree tap_pos"
    " tap_at_star_point tap_changer_type tap_dependency_table in_service loss_side",
    "load": "name bus p_mw q_mvar const_z_p_percent const_i_p_percent const_z_q_percent const_i_q_percent scaling"
    " in_service",
    "asymmetric_load": "name bus p_a_mw q_a_mvar p_b_mw q_b_mvar p_c_mw q_c_mvar scaling in_service",
    "asymmetric_sgen": "name bus p_a_mw q_a_mvar p_b_mw q_b_mvar p_c_mw q_c_mvar scaling in_service",
    "sgen": "name bus p_mw q_mvar scaling in_service min_p_mw max_p_mw min_q_mvar max_q_mvar sn_mva",
    "storage": "name bus p_mw q_mvar scaling in_service",
    "motor": "name bus pn_mech_mw loading_percent cos_phi efficiency_percent scaling in_service",
    "gen": "name bus p_mw vm_pu sn_mva min_q_mvar max_q_mvar min_p_mw max_p_mw scaling slack in_service",
    "ext_grid": "name bus vm_pu va_degree in_service min_p_mw max_p_mw min_q_mvar max_q_mvar",
    "shunt": "name bus q_mvar p_mw vn_kv step step_dependency_table id_characteristic_table in_service",
    "ward": "name bus ps_mw qs_mvar qz_mvar pz_mw in_service",
    "xward": "name bus ps_mw qs_mvar qz_mvar pz_mw r_ohm x_ohm vm_pu in_service",
    "impedance": "name from_bus to_bus rft_pu xft_pu rtf_pu xtf_pu gf_pu bf_pu gt_pu bt_pu sn_mva in_service",
    "dcline": "name from_bus to_bus p_mw loss_percent loss_mw vm_from_pu vm_to_pu max_p_mw min_q_from_mvar"
    " max_q_from_mvar min_q_to_mvar max_q_to_mvar in_service",
    "switch": "bus element et type closed name z_ohm in_ka",
}
# Columns that runpp does not read: short circuit, three-phase, thermal, planning, drawing, optimisation.
_INERT = (
    "std_type type df geo max_loading_percent controllable oltc vector_group sn_mva slack_weight max_step in_ka"
    " current_source min_p_mw max_p_mw min_q_mvar max_q_mvar min_vm_pu max_vm_pu soc_percent min_e_mwh max_e_mwh"
    " r0_ohm_per_km x0_ohm_per_km c0_nf_per_km g0_us_per_km endtemp_degree alpha temperature_degree_celsius tdpf"
    " wind_speed_m_per_s wind_angle_degree conductor_outer_diameter_m air_temperature_degree_celsius"
    " reference_temperature_degree_celsius solar_radiation_w_per_sq_m solar_absorptivity emissivity"
    " r_theta_kelvin_per_mw mc_joule_per_m_k power_station_unit pt_percent xn_ohm rn_ohm"
    " vk0_percent vkr0_percent mag0_percent mag0_rx si0_hv_partial vk0_hv_percent vk0_mv_percent vk0_lv_percent"
    " vkr0_hv_percent vkr0_mv_percent vkr0_lv_percent s_sc_max_mva s_sc_min_mva rx_max rx_min x0x_max r0x0_max"
    " x0x_min r0x0_min vn_kv xdss_pu rdss_ohm rdss_pu cos_phi pg_percent power_factor cos_phi_n efficiency_n_percent"
    " lrc_pu rx k generator_type max_ik_ka kappa lrc_pu"
    " id_q_capability_characteristic reactive_capability_curve curve_style tap_phase_shifter"
    " rft0_pu xft0_pu rtf0_pu xtf0_pu gf0_pu bf0_pu gt0_pu bt0_pu origin_id origin_class terminal description"
    " substation zone area subnet voltLvl uuid id coords parallel_circuits"
    " tap2_side tap2_neutral tap2_min tap2_max tap2_step_percent tap2_step_degree tap2_pos tap2_changer_type"
    " id_characteristic_table id_characteristic_spline"
)
_OPTIONS = {
    "trafo_model": "t", "calculate_voltage_angles": True, "consider_line_temperature": False, "tdpf": False,
    "voltage_depend_loads": True, "enforce_q_lims": False,
}  # fmt: skip


def from_pandapower(net: Any, *, allow_loss: bool = False) -> Network:
    """Convert a pandapower network; Untranslated lists what it holds that would be lost.

    net         a pandapowerNet; it is not changed
    allow_loss  go on without what cannot be carried

    >>> from pandapower.networks import case9
    >>> len(from_pandapower(case9())["buses"])
    9
    """
    return convert_pandapower(net).accept(_title(net), allow_loss=allow_loss)


def convert_pandapower(net: Any) -> Conversion:
    """Convert a pandapower network and report what is lost and what is noted; never refuses."""
    pandapower = need("pandapower")
    return _Reader(net, str(pandapower.__version__)).read()


def _title(net: Any) -> str:
    return str(net.get("name") or "pandapower network")


class _Reader:
    """One conversion: pandapower indices to names, then one method per pandapower table."""

    def __init__(self, net: Any, version: str) -> None:
        if "bus" not in net or "vn_kv" not in net["bus"].columns:
            raise SeraiError("from_pandapower: this is not a pandapower network: it has no table of buses with vn_kv")
        self.net, self.version, self.draft = net, version, Draft()
        self.base = float(net["sn_mva"]) * MEGA
        self.options = dict(net.get("user_pf_options") or {})
        self.bus = dict(records(net, "bus"))
        self.alive = {i: flag(r, "in_service", default=True) for i, r in self.bus.items()}
        self.names: dict[str, dict[Any, str]] = {}
        self.angles = bool(self.options.get("calculate_voltage_angles", True))
        self.shared = bool(self.options.get("distributed_slack", False))

    def read(self) -> Conversion:
        self._book()
        self._buses()
        for step in (self._lines, self._trafos, self._trafos3, self._impedances, self._switches):
            step()
        self._references()
        for step in (self._sgens, self._loads, self._motors, self._wards, self._xwards, self._shunts, self._dclines):
            step()
        about = f"pandapower {self.version} network {_title(self.net)}"
        sources = {"converted": about} | {f"note {k + 1}": n for k, n in enumerate(self.draft.notes)}
        return self.draft.finish(
            name=_title(self.net),
            title=_title(self.net),
            base_power=self.base,
            frequency=float(self.net["f_hz"]),
            sources=sources,
        )

    # ------------------------------------------------------------------ book of what is not carried

    def _book(self) -> None:
        """List tables, columns and options that have no place."""
        for name in sorted(self.net.keys()):
            frame = self.net[name]
            if name.startswith(("_", "res_")) or not hasattr(frame, "columns") or not len(frame):
                continue
            if name in _USED:
                self._columns(name, frame)
            elif name in _HOPELESS:
                self.draft.lost.append(f"{name}: {len(frame)} rows")
            elif name in _HARMLESS or name.startswith("bus_geodata") or name.endswith("_geodata"):
                self.draft.notes.append(f"{name}: {len(frame)} rows are not carried; they do not change the physics")
            elif not name.endswith("_characteristic_table") and name != "characteristic":
                self.draft.lost.append(f"{name}: {len(frame)} rows of an unknown table")
        for option, plain in _OPTIONS.items():
            if self.options.get(option, plain) != plain:
                self.draft.lost.append(f"user_pf_options: {option} = {self.options[option]!r}")

    def _columns(self, name: str, frame: Any) -> None:
        known = {*_USED[name].split(), *_INERT.split()}
        for column in frame.columns:
            if column not in known and not is_default(frame[column].tolist()):
                self.draft.lost.append(f"{name}: column {column} is not understood (kept as x_{column})")

    def _rows(self, table: str) -> list[tuple[Any, dict[str, Any], dict[str, Any]]]:
        """Return (index, row, columns to carry) of every row of a table."""
        used = _USED[table].split()
        return [(i, r, carried(i, r, used)) for i, r in records(self.net, table)]

    def _at(self, bus: Any) -> str:
        return self.names["bus"][bus]

    def _status(self, row: Mapping[str, Any], *buses: Any) -> str:
        """Status of an element; pandapower takes it out with any of `buses`."""
        on = flag(row, "in_service", default=True) and all(self.alive[b] for b in buses)
        return "in service" if on else "out of service"

    def _add(self, kind: str, table: str, index: Any, row: Mapping[str, Any], /, **columns: Any) -> str:
        name = self.draft.add(kind, name_of(table, index, row), **columns)
        self.names.setdefault(table, {})[index] = name
        return name

    # ------------------------------------------------------------------ buses and branches

    def _buses(self) -> None:
        points = {i: point(r.get("geo")) for i, r in self.bus.items()}
        for i, r in records(self.net, "bus_geodata"):
            points[i] = points.get(i) or (number(r, "x"), number(r, "y"))
        runs = ((r["from_bus"], r["to_bus"], number(r, "length_km")) for _, r in records(self.net, "line"))
        place = places(points, runs)
        for i, r, extra in self._rows("bus"):
            self._add(
                "buses", "bus", i, r,
                voltage=r["vn_kv"] * KILO, region=text(r, "zone"), status=self._status(r),
                magnitude_min=number(r, "min_vm_pu"), magnitude_max=number(r, "max_vm_pu"),
                **place.get(i, {}), **extra,
            )  # fmt: skip

    def _lines(self) -> None:
        omega = 2.0 * pi * float(self.net["f_hz"])
        for i, r, extra in self._rows("line"):
            self._same_voltage(i, r)
            self._add(
                "lines", "line", i, r,
                from_bus=self._at(r["from_bus"]), to_bus=self._at(r["to_bus"]), status=self._status(r),
                length=r["length_km"] * KILO, resistance=r["r_ohm_per_km"] / KILO, reactance=r["x_ohm_per_km"] / KILO,
                susceptance=omega * number(r, "c_nf_per_km", 0.0) * 1e-12,
                conductance=number(r, "g_us_per_km", 0.0) * 1e-9, parallel=int(number(r, "parallel", 1)),
                current_max=number(r, "max_i_ka") * number(r, "df", 1.0) * KILO, x_df=number(r, "df", 1.0), **extra,
            )  # fmt: skip

    def _same_voltage(self, index: Any, row: Mapping[str, Any]) -> None:
        a, b = (self.bus[row[c]]["vn_kv"] for c in ("from_bus", "to_bus"))
        if a != b:
            self.draft.notes.append(
                f"line {index}: joins {a} kV and {b} kV; per unit refers to the from bus, as in pandapower"
            )

    def _trafos(self) -> None:
        for i, r, extra in self._rows("trafo"):
            r, folded = self._from_table(i, r), ""  # noqa: PLW2901 - the same row, its tap table looked up
            hv, lv, turn = _second_tap(r)
            if hv != 1.0 or lv != 1.0 or turn != 0.0:
                folded = "tap2 at its present step"
            row: dict[str, Any] = {
                "hv_bus": self._at(r["hv_bus"]), "lv_bus": self._at(r["lv_bus"]),
                "status": self._status(r, r["hv_bus"], r["lv_bus"]), "rating": r["sn_mva"] * MEGA,
                "hv_voltage": r["vn_hv_kv"] * KILO * hv * r.get("table_hv", 1.0),
                "lv_voltage": r["vn_lv_kv"] * KILO * lv * r.get("table_lv", 1.0),
                "short_circuit_voltage": r["vk_percent"] / 100.0,
                "short_circuit_resistive": number(r, "vkr_percent", 0.0) / 100.0,
                "iron_loss": number(r, "pfe_kw", 0.0) * KILO,
                "no_load_current": abs(number(r, "i0_percent", 0.0)) / 100.0,
                "phase_shift": self._shift(r, "shift_degree") + turn + r.get("table_turn", 0.0),
                "parallel": int(number(r, "parallel", 1)),
                "leakage_resistance_share_hv": number(r, "leakage_resistance_ratio_hv", 0.5),
                "leakage_reactance_share_hv": number(r, "leakage_reactance_ratio_hv", 0.5),
                **self._tap("trafo", i, r), **extra,
            }  # fmt: skip
            if folded:
                row["x_folded"] = folded
            self._place_transformer(i, r, row)

    def _place_transformer(self, index: Any, r: Mapping[str, Any], row: dict[str, Any]) -> None:
        """Add a transformer; as a plain pi-branch where no name plate can say it (vk or vkr below zero)."""
        vk, vr = row["short_circuit_voltage"], row["short_circuit_resistive"]
        if number(r, "i0_percent", 0.0) < 0.0:
            self.draft.notes.append(f"trafo {index}: i0_percent is below zero; its sign is ignored, as in pandapower")
        if vk > 0.0 and vr >= 0.0:
            self._add("transformers", "trafo", index, r, **row)
            return
        self.draft.notes.append(f"trafo {index}: vk or vkr is below zero; carried as a pi-branch at its present step")
        positive = {**row, "short_circuit_voltage": abs(vk) or 1.0, "short_circuit_resistive": abs(vr)}
        sign = (np.copysign(1.0, vr), np.copysign(1.0, vk))
        pi_row = _as_branch(positive, self.bus[r["hv_bus"]], self.bus[r["lv_bus"]], self.base, sign)
        extra = {c: v for c, v in row.items() if c.startswith("x_")}
        self._add(
            "branches", "trafo", index, r, from_bus=row["hv_bus"], to_bus=row["lv_bus"], status=row["status"],
            rating=row["rating"] * row["parallel"], **pi_row, **extra,
        )  # fmt: skip

    def _shift(self, r: Mapping[str, Any], column: str) -> float:
        return radians(number(r, column, 0.0)) if self.angles else 0.0

    def _from_table(self, index: Any, r: dict[str, Any]) -> dict[str, Any]:
        """Look the present step up in trafo_characteristic_table; the table itself is lost."""
        if not flag(r, "tap_dependency_table", default=False):
            return r
        self.draft.lost.append(f"trafo {index}: tap_dependency_table (carried at its present step)")
        key = (r.get("id_characteristic_table"), r.get("tap_pos"))
        for _, step in records(self.net, "trafo_characteristic_table"):
            if (step["id_characteristic"], step["step"]) == key:
                side = text(r, "tap_side")
                turn = radians(number(step, "angle_deg", 0.0)) * (1.0 if side == "hv" else -1.0)
                plate = {c: step[c] for c in ("vk_percent", "vkr_percent") if not is_missing(step.get(c))}
                return {**r, **plate, f"table_{side}": number(step, "voltage_ratio", 1.0), "table_turn": turn}
        return r

    def _tap(self, table: str, index: Any, r: Mapping[str, Any]) -> dict[str, Any]:
        """Columns of the tap changer; a changer without type does nothing in pandapower."""
        side, kind = text(r, "tap_side"), text(r, "tap_changer_type")
        if "tap_changer_type" not in r and not is_missing(r.get("tap_side")):
            kind = "Ideal" if flag(r, "tap_phase_shifter", default=False) else "Ratio"
        looked_up = flag(r, "tap_dependency_table", default=False)
        if side not in {"hv", "mv", "lv"} or looked_up or kind not in {"Ratio", "Symmetrical", "Ideal"}:
            if side and not looked_up and number(r, "tap_pos", 0.0) != number(r, "tap_neutral", 0.0):
                kind = kind or "missing"
                self.draft.notes.append(f"{table} {index}: tap_changer_type is {kind}: no effect, as in pandapower")
            position = number(r, "tap_pos", 0.0)
            return {"tap_position": position, "tap_neutral": position} if side else {}
        step, angle = number(r, "tap_step_percent", 0.0) / 100.0, radians(number(r, "tap_step_degree", 0.0))
        if kind == "Ideal" and angle != 0.0 and step != 0.0:
            self.draft.lost.append(f"{table} {index}: ideal phase shifter with both tap_step_percent and _degree")
        neutral = number(r, "tap_neutral")
        position = number(r, "tap_pos", neutral)
        if is_missing(neutral):
            neutral = position
        return {
            "tap_side": side, "tap_position": position, "tap_neutral": neutral,
            "tap_min": number(r, "tap_min"), "tap_max": number(r, "tap_max"), "tap_step": step,
            "tap_step_angle": angle, "tap_kind": "ideal shift" if kind == "Ideal" else "ratio",
            "x_tap_changer_type": kind,
        }  # fmt: skip

    def _trafos3(self) -> None:
        loss_side = str(self.options.get("trafo3w_losses", "hv")).lower()
        for i, r, extra in self._rows("trafo3w"):
            if flag(r, "tap_dependency_table", default=False):
                self.draft.lost.append(f"trafo3w {i}: tap_dependency_table (carried at its neutral step)")
            star = flag(r, "tap_at_star_point", default=False)
            if star and text(r, "tap_changer_type") == "Ideal":
                self.draft.lost.append(f"trafo3w {i}: ideal phase shifter at the star point")
            plate = {
                f"{side}_{ours}": r[f"{theirs}_{side}_{unit}"] * factor
                for side in ("hv", "mv", "lv")
                for ours, theirs, unit, factor in (("rating", "sn", "mva", MEGA), ("voltage", "vn", "kv", KILO))
            }
            for pair, side in (("hv_mv", "hv"), ("mv_lv", "mv"), ("hv_lv", "lv")):
                plate[f"short_circuit_voltage_{pair}"] = r[f"vk_{side}_percent"] / 100.0
                plate[f"short_circuit_resistive_{pair}"] = number(r, f"vkr_{side}_percent", 0.0) / 100.0
            self._add(
                "transformers3", "trafo3w", i, r,
                **{f"{side}_bus": self._at(r[f"{side}_bus"]) for side in ("hv", "mv", "lv")},
                status=self._status(r), iron_loss=number(r, "pfe_kw", 0.0) * KILO,
                no_load_current=abs(number(r, "i0_percent", 0.0)) / 100.0,
                iron_loss_side=text(r, "loss_side") or loss_side,
                mv_phase_shift=self._shift(r, "shift_mv_degree"), lv_phase_shift=self._shift(r, "shift_lv_degree"),
                tap_at_star_point=star, **plate, **self._tap("trafo3w", i, r), **extra,
            )  # fmt: skip

    def _impedances(self) -> None:
        for i, r, extra in self._rows("impedance"):
            if r["rft_pu"] != r["rtf_pu"] or r["xft_pu"] != r["xtf_pu"]:
                self.draft.lost.append(f"impedance {i}: differs by direction (carried with its from-to values)")
            scale = self.base / (r["sn_mva"] * MEGA)
            self._add(
                "branches", "impedance", i, r,
                from_bus=self._at(r["from_bus"]), to_bus=self._at(r["to_bus"]), rating=r["sn_mva"] * MEGA,
                status=self._status(r, r["from_bus"], r["to_bus"]),
                resistance=r["rft_pu"] * scale, reactance=r["xft_pu"] * scale,
                conductance_from=number(r, "gf_pu", 0.0) / scale, susceptance_from=number(r, "bf_pu", 0.0) / scale,
                conductance_to=number(r, "gt_pu", 0.0) / scale, susceptance_to=number(r, "bt_pu", 0.0) / scale,
                x_sn_mva=r["sn_mva"], **extra,
            )  # fmt: skip

    def _switches(self) -> None:
        tables = {"l": "line", "t": "trafo", "t3": "trafo3w"}
        for i, r, extra in self._rows("switch"):
            extra["x_in_ka"] = number(r, "in_ka")
            end: dict[str, str] = {}
            if text(r, "et") == "b":
                end = self._coupler(i, r)
            elif text(r, "et") in tables:
                end = {"branch": self.names[tables[text(r, "et")]][r["element"]]}
            else:
                self.draft.lost.append(f"switch {i}: kind of element et = {r.get('et')!r}")
                continue
            kind = {"CB": "breaker", "DS": "disconnector", "LS": "load switch", "LBS": "load switch"}
            extra["x_type"] = text(r, "type")
            name = self._add(
                "switches", "switch", i, r, bus=self._at(r["bus"]), kind=kind.get(text(r, "type"), ""), **end, **extra
            )
            if not flag(r, "closed", default=True):
                self.draft.know("closed", name, 0.0)

    def _coupler(self, index: Any, r: Mapping[str, Any]) -> dict[str, str]:
        """A bus-bus switch: a coupler, or a switched branch where it has an impedance."""
        z = number(r, "z_ohm", 0.0)
        if z <= 0.0:
            return {"to_bus": self._at(r["element"])}
        rx = float(self.options.get("switch_rx_ratio", 2))
        z = z * self.base / (self.bus[r["bus"]]["vn_kv"] * KILO) ** 2
        branch = self.draft.add(
            "branches", f"switch {index} impedance", from_bus=self._at(r["bus"]), to_bus=self._at(r["element"]),
            resistance=z * rx / hypot(rx, 1.0), reactance=z / hypot(rx, 1.0),
            status=self._status({}, r["bus"], r["element"]), x_index=index, x_z_ohm=r["z_ohm"],
        )  # fmt: skip
        return {"branch": branch}

    # ------------------------------------------------------------------ what feeds and draws

    def _joined(self) -> dict[Any, Any]:
        """Bus -> one bus of the group that closed couplers make of it."""
        root = {b: b for b in self.bus}

        def find(b: Any) -> Any:
            while root[b] != b:
                b = root[b]
            return b

        for _, r in records(self.net, "switch"):
            closed = flag(r, "closed", default=True) and number(r, "z_ohm", 0.0) <= 0.0
            if text(r, "et") == "b" and closed and self.alive[r["bus"]] and self.alive[r["element"]]:
                root[find(r["bus"])] = find(r["element"])
        return {b: find(b) for b in self.bus}

    def _references(self) -> None:
        """External grids and generators: magnitude, and either the angle (power free) or the active power."""
        joined, held = self._joined(), set()
        for i, r, extra in self._rows("ext_grid"):
            name = self._generator("ext_grid", i, r, extra)
            live = self.alive[r["bus"]] and flag(r, "in_service", default=True)
            first = joined[r["bus"]] not in held
            if live:
                held.add(joined[r["bus"]])
            if live and not first:
                self.draft.notes.append(f"ext_grid {i}: its node already has a reference; set to no active power")
                self.draft.know("active_power", name, 0.0, "mw")
            else:
                self.draft.know("angle", name, radians(number(r, "va_degree", 0.0)) if self.angles else 0.0, "deg")
            if self.shared and (first or not live):
                self.draft.know("active_power", name, 0.0, "mw")
        for i, r, extra in self._rows("gen"):
            name = self._generator("gen", i, r, extra)
            live = self.alive[r["bus"]] and flag(r, "in_service", default=True)
            holds = flag(r, "slack", default=False) and joined[r["bus"]] not in held
            if holds:
                self.draft.know("angle", name, 0.0, "deg")
                if live:
                    held.add(joined[r["bus"]])
            if not holds or self.shared:
                self.draft.know("active_power", name, r["p_mw"] * number(r, "scaling", 1.0) * MEGA, "mw")

    def _generator(self, table: str, i: Any, r: Mapping[str, Any], extra: Mapping[str, Any]) -> str:
        name = self._add(
            "generators", table, i, r, bus=self._at(r["bus"]), status=self._status(r), technology=text(r, "type"),
            participation=number(r, "slack_weight", 0.0) if self.shared else 0.0, **self._limits(r),
            rating=number(r, "sn_mva") * MEGA, **extra,
        )  # fmt: skip
        self.draft.know("magnitude", name, number(r, "vm_pu", 1.0), "pu")
        return name

    @staticmethod
    def _limits(r: Mapping[str, Any]) -> dict[str, float]:
        both = (("active_power", "p_mw"), ("reactive_power", "q_mvar"))
        return {f"{ours}_{m}": number(r, f"{m}_{theirs}") * MEGA for ours, theirs in both for m in ("min", "max")}

    def _powers(self, name: str, p_mw: float, q_mvar: float) -> None:
        self.draft.know("active_power", name, p_mw * MEGA, "mw")
        self.draft.know("reactive_power", name, q_mvar * MEGA, "mvar")

    def _sgens(self) -> None:
        for table in ("sgen", "asymmetric_sgen"):
            for i, r, extra in self._rows(table):
                name = self._add(
                    "generators", table, i, r, bus=self._at(r["bus"]), status=self._status(r),
                    technology=text(r, "type"), rating=number(r, "sn_mva") * MEGA, **self._limits(r), **extra,
                )  # fmt: skip
                self._powers(name, *self._scaled(table, i, r))

    def _scaled(self, table: str, index: Any, r: Mapping[str, Any]) -> tuple[float, float]:
        """Active and reactive power [MW, Mvar]; the phases of an asymmetric element are summed and listed."""
        scale = number(r, "scaling", 1.0)
        if table.startswith("asymmetric"):
            self.draft.lost.append(f"{table} {index}: its phases differ (carried as their balanced sum)")
            p, q = (sum(number(r, f"{s}_{phase}_{u}", 0.0) for phase in "abc") for s, u in (("p", "mw"), ("q", "mvar")))
            return p * scale, q * scale
        return number(r, "p_mw", 0.0) * scale, number(r, "q_mvar", 0.0) * scale

    def _loads(self) -> None:
        for table in ("load", "storage", "asymmetric_load"):
            for i, r, extra in self._rows(table):
                shares = {
                    f"constant_{ours}_{power}": number(r, f"const_{z}_{s}_percent", 0.0) / 100.0
                    for ours, z in (("impedance", "z"), ("current", "i"))
                    for power, s in (("active", "p"), ("reactive", "q"))
                }
                name = self._add(
                    "loads", table, i, r, bus=self._at(r["bus"]), status=self._status(r),
                    kind="storage" if table == "storage" else text(r, "type"), **shares, **extra,
                )  # fmt: skip
                self._powers(name, *self._scaled(table, i, r))
        self._averaged()

    def _averaged(self) -> None:
        """Note the buses where pandapower averages voltage dependence over all that draws there."""
        columns = [f"const_{z}_{s}_percent" for z in "zi" for s in "pq"]
        shares: dict[Any, set[tuple[float, ...]]] = {}
        for _, r in records(self.net, "load"):
            shares.setdefault(r["bus"], set()).add(tuple(number(r, c, 0.0) for c in columns))
        for table in ("sgen", "storage", "motor", "ward", "xward", "asymmetric_load", "asymmetric_sgen"):
            for _, r in records(self.net, table):
                if r["bus"] in shares:
                    shares[r["bus"]].add((0.0,) * 4)
        mixed = [str(b) for b, s in shares.items() if len(s) > 1]
        if mixed:
            self.draft.notes.append(
                f"buses {', '.join(mixed)}: loads of different voltage dependence; each follows its own, while"
                " pandapower applies their mean to the sum of all that draws at the bus"
            )

    def _motors(self) -> None:
        for i, r, extra in self._rows("motor"):
            p = r["pn_mech_mw"] / r["efficiency_percent"] * r["loading_percent"] * number(r, "scaling", 1.0)
            name = self._add(
                "loads", "motor", i, r, bus=self._at(r["bus"]), status=self._status(r), kind="motor", **extra
            )
            self._powers(name, p, sqrt(max((p / r["cos_phi"]) ** 2 - p**2, 0.0)))

    def _ward(self, table: str, i: Any, r: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
        place = {"bus": self._at(r["bus"]), "status": self._status(r)}
        name = self._add("loads", table, i, r, kind=table, **place, **extra)
        self._powers(name, r["ps_mw"], r["qs_mvar"])
        self.draft.add(
            "shunts", f"{name} impedance", active_power=r["pz_mw"] * MEGA, reactive_power=r["qz_mvar"] * MEGA,
            x_index=i, **place,
        )  # fmt: skip

    def _wards(self) -> None:
        for i, r, extra in self._rows("ward"):
            self._ward("ward", i, r, extra)

    def _xwards(self) -> None:
        """An extended ward adds a voltage source without active power behind an impedance."""
        for i, r, extra in self._rows("xward"):
            if self.shared and number(r, "slack_weight", 0.0):
                self.draft.lost.append(f"xward {i}: slack_weight")
            self._ward("xward", i, r, extra)
            name, bus = self.names["xward"][i], self.bus[r["bus"]]
            status = self._status(r, r["bus"])
            ohm = (bus["vn_kv"] * KILO) ** 2 / self.base
            inner = self.draft.add("buses", f"{name} source", voltage=bus["vn_kv"] * KILO, status=status, x_index=i)
            self.draft.add(
                "branches", f"{name} branch", from_bus=self._at(r["bus"]), to_bus=inner, status=status,
                resistance=r["r_ohm"] / ohm, reactance=r["x_ohm"] / ohm, x_index=i,
            )  # fmt: skip
            source = self.draft.add("generators", f"{name} machine", bus=inner, status=status, x_index=i)
            self.draft.know("active_power", source, 0.0, "mw")
            self.draft.know("magnitude", source, r["vm_pu"], "pu")

    def _shunts(self) -> None:
        for i, r, extra in self._rows("shunt"):
            p, q, steps = number(r, "p_mw", 0.0), number(r, "q_mvar", 0.0), number(r, "step", 1.0)
            if flag(r, "step_dependency_table", default=False):
                self.draft.lost.append(f"shunt {i}: step_dependency_table (carried at its present step)")
                key = (r.get("id_characteristic_table"), r.get("step"))
                for _, row in records(self.net, "shunt_characteristic_table"):
                    if (row["id_characteristic"], row["step"]) == key:
                        p, q, steps = number(row, "p_mw", 0.0), number(row, "q_mvar", 0.0), 1.0
            self._add(
                "shunts", "shunt", i, r, bus=self._at(r["bus"]), status=self._status(r), steps=steps,
                active_power=p * MEGA, reactive_power=q * MEGA, voltage=number(r, "vn_kv") * KILO, **extra,
            )  # fmt: skip

    def _dclines(self) -> None:
        """A link sends from its from bus; each end holds its voltage by a source without active power."""
        for i, r, extra in self._rows("dcline"):
            ends = ("from", "to") if r["p_mw"] > 0.0 else ("to", "from")
            status = self._status(r)
            name = self._add(
                "hvdc_links", "dcline", i, r,
                from_bus=self._at(r[f"{ends[0]}_bus"]), to_bus=self._at(r[f"{ends[1]}_bus"]), status=status,
                active_power_min=0.0, active_power_max=number(r, "max_p_mw") * MEGA,
                loss_constant=number(r, "loss_mw", 0.0) * MEGA, loss_share=number(r, "loss_percent", 0.0) / 100.0,
                x_reversed=ends[0] == "to", **extra,
            )  # fmt: skip
            self.draft.know("active_power", name, abs(r["p_mw"]) * MEGA, "mw")
            for ours, theirs in zip(("from", "to"), ends, strict=True):
                self.draft.know(f"reactive_power_{ours}", name, 0.0, "mvar")
                holder = self.draft.add(
                    "generators", f"{name} voltage at {theirs} bus", bus=self._at(r[f"{theirs}_bus"]), status=status,
                    reactive_power_min=number(r, f"min_q_{theirs}_mvar") * MEGA,
                    reactive_power_max=number(r, f"max_q_{theirs}_mvar") * MEGA, technology="converter", x_index=i,
                )  # fmt: skip
                self.draft.know("active_power", holder, 0.0, "mw")
                self.draft.know("magnitude", holder, r[f"vm_{theirs}_pu"], "pu")


def _second_tap(r: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return (factor of the hv voltage, of the lv voltage, turn in rad) of the second tap changer at its step."""
    side, kind = text(r, "tap2_side"), text(r, "tap2_changer_type")
    steps = number(r, "tap2_pos", 0.0) - number(r, "tap2_neutral", 0.0)
    size, angle = number(r, "tap2_step_percent", 0.0) / 100.0 * steps, radians(number(r, "tap2_step_degree", 0.0))
    if side not in {"hv", "lv"} or kind not in {"Ratio", "Symmetrical", "Ideal"}:
        return 1.0, 1.0, 0.0
    sign = 1.0 if side == "hv" else -1.0
    if kind == "Ideal":
        return 1.0, 1.0, sign * (steps * angle if angle else 2.0 * asin(size / 2.0))
    re, im = 1.0 + size * cos(angle), size * sin(angle)
    factor = hypot(re, im)
    return (factor, 1.0, atan2(im, re)) if side == "hv" else (1.0, factor, -atan2(im, re))


def _as_branch(
    row: Mapping[str, Any], hv: Mapping[str, Any], lv: Mapping[str, Any], base: float, sign: tuple[float, float]
) -> dict[str, float]:
    """Per-unit pi-branch of one transformer row; `sign` of its resistance and reactance."""
    plain = {c: v for c, v in row.items() if not c.startswith("x_") and not is_missing(v)}
    plain |= {"name": "t", "hv_bus": "h", "lv_bus": "l", "status": "in service"}
    if plain["iron_loss"] or plain["no_load_current"]:
        raise SeraiError(f"transformer {row}: vk or vkr below zero together with a magnetising branch")
    buses = [{"name": "h", "voltage": hv["vn_kv"] * KILO}, {"name": "l", "voltage": lv["vn_kv"] * KILO}]
    tables = {"buses": build("buses", buses), "transformers": build("transformers", [plain])}
    pi = pi_branches(Network(tables=tables, base_power=base))
    return {
        "resistance": float(pi.r[0]) * sign[0],
        "reactance": float(pi.x[0]) * sign[1],
        "tap_ratio": float(pi.ratio[0]),
        "phase_shift": float(pi.shift[0]),
    }
