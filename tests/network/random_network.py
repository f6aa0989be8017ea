# SPDX-License-Identifier: Apache-2.0
"""Random networks without mistakes, from the schema: every kind, every column, floats with random last bits."""

import numpy as np

from serai.network import KINDS, Day, Gas, HeatDemand, Network, table
from serai.network.network import COMPRESSIBILITY, FRICTION
from serai.network.quantities import MEASURABLE, QUANTITIES
from serai.network.tables import REQUIRED
from serai.units import UNITS

TEXTS = (
    "",
    "plain",
    "ü ý ş",
    "a,b",
    "a;b",
    'q"q',
    "two\nlines",
    "cr\rcr",
    "crlf\r\n",
    " lead",
    "tail ",
    "\t",
    "=1+1",
    "0,5",
    "#",
)


def random_network(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    tables = {}
    for kind in KINDS:
        if kind not in ("setpoints", "instruments") and (rng.random() < 0.8 or kind in ("gas_nodes", "buses")):
            rows = _rows(rng, kind, tables)
            if rows:
                tables[kind] = table(kind, rows)
    days = {n: _day(rng, n) for n in ("winter peak", 'ü/"..', "summer")[: rng.integers(0, 4)]}
    setpoints = _setpoints(rng, tables, days)
    if setpoints:
        tables["setpoints"] = table("setpoints", setpoints)
    instruments = _instruments(rng, tables)
    if instruments:
        tables["instruments"] = table("instruments", instruments)
    return Network(
        name=f"case {seed}",
        title=str(rng.choice(TEXTS)),
        tables=tables,
        gas=_gas(rng),
        base_power=_wide(rng),
        frequency=_wide(rng),
        days=days,
        day=str(rng.choice(["", *days])),
        utc_offset=float(rng.uniform(-12, 14)),
        gas_day_start=float(rng.uniform(0, 24)),
        heat_demand=None if rng.random() < 0.3 else HeatDemand(_wide(rng), _wide(rng)),
        sources={str(t): str(rng.choice(TEXTS)) for t in TEXTS[: rng.integers(0, len(TEXTS))]},
    )


def _wide(rng) -> float:
    return float(rng.uniform(1, 10) * 10.0 ** rng.integers(-7, 9))


def _number(rng, column) -> float:
    low = max(column.above, column.at_least)
    if column.default is not REQUIRED and rng.random() < 0.4:
        return column.default
    if np.isfinite(column.at_most):
        return float(low + (column.at_most - low) * rng.uniform(0.01, 1.0))
    return float(low + _wide(rng)) if np.isfinite(low) else float(rng.choice([-1, 1]) * _wide(rng))


def _rows(rng, kind, tables) -> list[dict]:
    spec = KINDS[kind]
    rows = []
    for i in range(rng.integers(2, 5)):
        row = {"x_note": str(rng.choice(TEXTS)), "x_a,b": "x"}
        if spec.named:
            row["name"] = f'{kind} {i} "ü"; {rng.integers(100)}'
        for c in spec.columns[int(spec.named) :]:
            if c.refers:
                names = [n for k in c.refers if k in tables for n in tables[k].names if n not in row.values()]
                if not names:
                    return rows
                row[c.name] = str(rng.choice(names))
            elif c.type is str:
                row[c.name] = str(rng.choice(c.allowed)) if c.allowed else str(rng.choice(TEXTS))
                if not row[c.name]:
                    row[c.name] = "text" if c.default is REQUIRED else c.default
            elif c.type is int:
                row[c.name] = int(rng.integers(1, 9))
            elif c.type is bool:
                row[c.name] = bool(rng.random() < 0.5)
            else:
                row[c.name] = _number(rng, c)
        rows.append(_made_sound(kind, row))
    return rows


def _made_sound(kind, row) -> dict:
    if kind in ("gas_nodes", "buses"):
        row["status"] = "in service"
    if kind == "switches":
        row["branch"] = ""
    if kind == "offtakes" and np.isnan(row["withdrawal_mean"]):
        row["heat_share"] = 0.0
    if kind == "resistors":
        row["pressure_loss"] = 1.5
    for low in row:
        high = low.replace("_min", "_max").replace("circuit_resistive", "circuit_voltage")
        if high != low and high in row and row[low] > row[high]:
            row[low] = row[high]
    for drag in ("drag_factor_in", "drag_factor_out", "drag_factor", "loss_coefficient"):
        diameter = drag.replace("drag_factor", "diameter").replace("loss_coefficient", "diameter")
        if diameter in row and drag in row and np.isnan(row[diameter]):
            row[diameter] = 0.1
    return row


def _day(rng, name) -> Day:
    hours = int(rng.integers(24, 30))
    profiles = {p: rng.normal(size=hours) for p in ("load", "a,b")[: rng.integers(0, 3)]}
    air = float(rng.choice([np.nan, rng.uniform(230, 320)]))
    return Day(name, profiles, str(rng.choice(TEXTS)), air, hot=bool(rng.random() < 0.5))


def _instruments(rng, tables) -> list[dict]:
    rows = []
    for quantity, q in MEASURABLE.items():
        for kind in q.kinds:
            if kind not in tables or rng.random() < 0.3:
                continue
            unit = str(rng.choice([u for u, v in UNITS.items() if v.dimension == q.dimension]))
            low = _wide(rng)
            rows.append(
                {
                    "name": f"tag {len(rows)}", "quantity": quantity, "where": tables[kind].names[0], "unit": unit,
                    "range_min": float(rng.choice([np.nan, low])), "range_max": low + _wide(rng),
                    "sigma": float(rng.choice([0.0, _wide(rng)])), "sigma_of_reading": _wide(rng), "scan": _wide(rng),
                    "accuracy": str(rng.choice(TEXTS)), "protocol": str(rng.choice(["", "modbus"])),
                    "station": str(rng.choice(TEXTS)), "address": str(rng.choice(TEXTS)),
                }
            )  # fmt: skip
    return rows


def _setpoints(rng, tables, days) -> list[dict]:
    rows = []
    for quantity, q in QUANTITIES.items():
        for kind in q.kinds:
            if kind not in tables or rng.random() < 0.3:
                continue
            unit = str(rng.choice([u for u, v in UNITS.items() if v.dimension == q.dimension]))
            day = str(rng.choice(["", *days]))
            profiles = list(days[day].profiles) if day else []
            row = {"quantity": quantity, "where": tables[kind].names[0], "unit": unit, "day": day}
            row["value"] = float(rng.integers(0, 2)) if q.flag else _wide(rng)
            rows.append(row | {"profile": str(rng.choice(["", *profiles])), "source": str(rng.choice(TEXTS))})
    return rows


def _gas(rng) -> Gas:
    return Gas(
        temperature=_wide(rng),
        molar_mass=_wide(rng),
        compressibility=str(rng.choice(COMPRESSIBILITY)),
        coefficients=tuple(rng.normal(size=rng.integers(0, 5)).tolist()),
        critical_pressure=_wide(rng),
        composition={c: float(rng.random()) for c in ("methane", "carbon dioxide", "é")[: rng.integers(0, 4)]},
        viscosity=_wide(rng) * 1e-9,
        friction=str(rng.choice(FRICTION)),
        heat_capacity_ratio=float(rng.uniform(1.01, 1.6)),
        net_heating_value=float(rng.choice([np.nan, _wide(rng)])),
        standard_temperature=float(rng.uniform(260, 300)),
        standard_density=float(rng.choice([np.nan, rng.uniform(0.5, 2)])),
    )
