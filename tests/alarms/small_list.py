# SPDX-License-Identifier: Apache-2.0
"""A small list of alarms on two nodes, for tests: what its records say, and how to read them."""

import datetime as dt

from serai.alarms import Alarms
from serai.alarms.rationale import from_tables
from serai.network import Network, table

T0 = 1_790_000_000.0  # s since 1970 UTC
WHY = {
    "cause": "a", "consequence": "b", "response": "c", "time_to_respond": "10min", "owner": "dispatch",
    "date": dt.date(2026, 11, 22),
}  # fmt: skip
HIGH = {
    **WHY, "source": "limit", "quantity": "pressure", "side": "high", "kinds": ["gas_nodes"], "unit": "bara",
    "set_point": "pressure_max", "dead_band": 1.0, "on_delay": 30, "off_delay": 60,
    "text": "{element} {value} > {limit}",
}  # fmt: skip
LOW = {**HIGH, "side": "low", "set_point": "pressure_min"}
FINDING = {**WHY, "key": "diagnosis.loss", "source": "diagnosis", "priority": "urgent", "text": "leak near {element}"}


def network(nodes=("A", "B"), low=40e5, high=80e5):
    n = len(nodes)
    return Network(
        tables={"gas_nodes": table("gas_nodes", name=list(nodes), pressure_min=[low] * n, pressure_max=[high] * n)}
    )


def book(*records, **philosophy):
    return from_tables({"record": list(records), "philosophy": philosophy})


def listed(*records, journal=None, nodes=("A", "B"), **philosophy):
    """Return alarms that watch the pressure of the nodes, in order."""
    alarms = Alarms(book(*records, **philosophy), network(nodes), journal)
    alarms.watch([("pressure", n) for n in nodes])
    return alarms
