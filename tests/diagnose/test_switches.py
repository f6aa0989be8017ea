# SPDX-License-Identifier: Apache-2.0
"""What stands otherwise than it is said to: the truth by `steady` with the other position."""

import numpy as np
import pytest

import serai as sr
from diagnose.scans import country, scan
from serai.diagnose import diagnose
from serai.known import Known
from serai.simulate.measured import measured

LINE = "Lebap 220 - Zerger 220 circuit 1"


@pytest.mark.parametrize("own", [True, False], ids=["with its own meters", "without"])
def test_a_line_that_is_in_while_it_is_said_to_be_out(own):
    net, *_ = country()
    said = net.with_status([LINE])
    batch = scan()
    if not own:
        batch = batch.take(np.array([not batch.register[int(t)].startswith(LINE) for t in batch.tag]))
    (fault,) = diagnose(said, batch).faults
    assert fault.kind == "branch closed"
    assert fault.where[0] == LINE
    assert fault.confirmed


def test_a_line_that_is_rightly_out_is_no_fault():
    net, *_ = country()
    d = diagnose(net.with_status([LINE]), scan([Known("in_service", LINE, 0.0)]))
    assert d.faults == ()
    assert ("branch closed", LINE) in set(d.tested.keys())


def test_a_closed_branch_would_carry_what_its_twin_carries():
    """Two equal circuits: what the ends would drive through the one that is out is what flows in the other."""
    net, *_ = country()
    d = diagnose(net.with_status([LINE]), scan([Known("in_service", LINE, 0.0)]))
    state, twin = d.estimate.state, LINE.replace("circuit 1", "circuit 2")
    carried = [float(getattr(state, q)[twin]) for q in ("active_power_from", "reactive_power_from", "active_power_to",
                                                        "reactive_power_to")]  # fmt: skip
    assert d.tested.switches.flows[:, -1] == pytest.approx(np.array(carried), rel=1e-9)


def valved(position):
    """Two pipes from one field, and a valve between the towns at their ends."""
    net = sr.read("two_pipes")
    valves = sr.table("valves", name=["Crossing"], from_node=["Town A"], to_node=["Town B"])
    pipes = net["pipes"]
    ends = pipes["from_node"].copy(), pipes["to_node"].copy()
    ends[0][1] = "Field"  # both pipes begin at the field
    ring = net.with_tables(pipes=pipes.replace(from_node=ends[0], to_node=ends[1]), valves=valves)
    return ring, Known("open", "Crossing", position)


@pytest.mark.parametrize(("said", "true", "kind"), [(0.0, 1.0, "valve open"), (1.0, 0.0, "position")])
def test_a_valve_that_stands_otherwise(said, true, kind):
    net, truly = valved(true)
    state = sr.steady(net, [truly])
    flows = [("supply", "Field supply", 0.2), ("withdrawal", "Town A gas", 0.2), ("withdrawal", "Town B gas", 0.2)]
    flows += [("flow", name, 0.2) for name in net["pipes"].names]
    points = [("pressure", n, 5e3) for n in ("Field", "Town A", "Town B")]
    readings = [Known(q, w, float(measured(state, q, w)), sigma) for q, w, sigma in (*flows, *points)]
    (fault, *_) = diagnose(net, [*readings, Known("open", "Crossing", said)]).faults
    assert (fault.kind, fault.where[0]) == (kind, "Crossing")
    assert fault.confirmed
    right = diagnose(net, [*readings, Known("open", "Crossing", true)])
    assert right.faults == ()
