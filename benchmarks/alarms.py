# SPDX-License-Identifier: Apache-2.0
"""The alarm engine on 20,000 conditions: a usual scan, a scan in which all become alarms at once, their journal.

    python benchmarks/alarms.py --json

The bar: 20,000 conditions a second on one core in under 0.1 s. A usual scan changes one condition in a thousand.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from serai.alarms import Alarms
from serai.alarms.rationale import from_tables
from serai.network import Network, table

NODES = 10_000  # each with a lower and an upper limit
BAR = 0.1  # s
T0 = 1.79e9
RECORD = {
    "source": "limit", "priority": "high", "quantity": "pressure", "kinds": ["gas_nodes"], "unit": "bara",
    "dead_band": 0.5, "text": "{element}: {value} {unit}", "cause": "c", "consequence": "q", "response": "r",
    "time_to_respond": "10min", "owner": "dispatch", "date": dt.date(2026, 11, 22),
}  # fmt: skip


def listed(journal: Path | None) -> Alarms:
    """Return a list of alarms that watches 20,000 limits."""
    names = [f"n{k}" for k in range(NODES)]
    nodes = table("gas_nodes", name=names, pressure_min=[20e5] * NODES, pressure_max=[80e5] * NODES)
    records = [
        {**RECORD, "key": "high", "side": "high", "set_point": "pressure_max"},
        {**RECORD, "key": "low", "side": "low", "set_point": "pressure_min"},
    ]
    alarms = Alarms(from_tables({"record": records}), Network(tables={"gas_nodes": nodes}), journal)
    alarms.watch([("pressure", n) for n in names])
    return alarms


def main() -> int:
    """Measure; print a line a row; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    as_json = parser.parse_args().json
    rng = np.random.default_rng(1)
    short = False
    with tempfile.TemporaryDirectory() as folder:
        for name, journal in (("in memory", None), ("journaled", Path(folder) / "alarms.sqlite")):
            alarms = listed(journal)
            usual: list[float] = []
            for k in range(60):
                values = 50e5 + 1e5 * rng.standard_normal(NODES)
                values[rng.integers(0, NODES, NODES // 1000)] = 90e5
                begun = time.perf_counter()
                alarms.scan(T0 + k, values)
                usual.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            caused = alarms.scan(T0 + 60, np.full(NODES, 100e5))
            flood = time.perf_counter() - begun
            rows = [
                (f"scan of 20,000 conditions, {name}: median [s]", float(np.median(usual)), BAR),
                (f"scan of 20,000 conditions, {name}: longest of 60 [s]", max(usual), BAR),
                (f"{len(caused)} alarms in one scan, {name} [s]", flood, float("inf")),
            ]
            for work, figure, bar in rows:
                holds = figure < bar
                short |= not holds
                row = {"work": work, "figure": figure, "bar": bar if np.isfinite(bar) else None, "holds": holds}
                print(json.dumps(row) if as_json else f"{work:<62}{figure:10.5f}  {'' if holds else 'SHORT'}")
            alarms.close()
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
