# SPDX-License-Identifier: Apache-2.0
"""A relaxation must contain every state of the exact laws: random states of a network with one of everything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.small_gas import everything
from serai import Known
from serai.dispatch.nomination_curves import band, outside
from serai.dispatch.nomination_model import BAR, pose
from serai.dispatch.relaxation import STEPS, Relaxation
from serai.errors import SeraiError
from serai.simulate.steady import Run
from serai.system import System, override

WIDE = STEPS[-1]  # bar: all limits are soft by so much


def states(net, flows, count, seed):
    """Yield random exact states of the network: values by (quantity, element)."""
    rng = np.random.default_rng(seed)
    while count:
        knowns = [Known("pressure", "field", rng.uniform(45e5, 75e5))]
        runs = Known("ratio", "station", rng.uniform(1.05, 1.6))
        knowns += [runs if rng.random() < 0.7 else Known("open", "station", 1.0)]
        knowns += [Known("pressure_drop", "valve to D", rng.uniform(0.0, 8e5))]
        system = System(net, override(net, net.knowns(), [*flows, *knowns]))
        run = Run(system)
        try:
            x = run.solve(cold=True).x
        except SeraiError:
            continue
        if run.modes.report():
            continue  # a mode took over: not the state that was asked for
        count -= 1
        c = system.equations.columns
        yield {c.name(k): x[k] for k in range(len(x))}


@pytest.mark.parametrize(
    ("friction", "compressibility"),
    [("colebrook-white", "papay"), ("nikuradse", "cnga"), ("hofer", "ideal"), ("nikuradse-laminar", "papay")],
)
def test_every_exact_state_satisfies_every_row(friction, compressibility):
    """Truth: the laws that `steady` solves. Tolerance 1e-4 bar (u) and 1e-3 kg/s for the columns, 1e-5 for the rows."""
    net = everything(friction, compressibility)
    task = pose(net, {})
    relaxation = Relaxation(task)
    for slack, seed in ((WIDE, 1), (5.0, 2)):
        rows = relaxation.rows(slack)
        p = rows.program
        low, high = p.low.copy(), p.high.copy()
        inside = 0
        for state in states(net, [], 4, seed):
            u = task.fluid.u(np.array([state["pressure", n] for n in task.names]))
            flow = np.array([state["flow", e.name] for e in task.edges])
            p_of = np.array([state["pressure", n] for n in task.names])
            beyond = np.where(task.limited, np.stack([task.low - p_of, p_of - task.high], axis=1), 0.0)
            over = max(float(beyond.max()), state["pressure", "D"] - 60e5)
            if over > slack * BAR:
                continue
            inside += 1
            p.low[:], p.high[:] = low, high
            for column, value in zip(rows.u, u, strict=True):
                p.low[column], p.high[column] = value - 1e-4, value + 1e-4
            for k, (column, sign, offset) in enumerate(rows.flow):
                if column >= 0 and sign == 1.0 and offset == 0.0:
                    p.low[column], p.high[column] = flow[k] - 1e-3, flow[k] + 1e-3
            fuel = rows.fuel["turbine"]
            p.low[fuel], p.high[fuel] = state["fuel", "turbine"] - 1e-4, state["fuel", "turbine"] + 1e-4
            assert p.solve(30.0).status == "optimal", f"an exact state is excluded at slack {slack}"
        assert inside, "no state was within the limits: the test says nothing"


@given(st.floats(-300.0, 250.0), st.floats(1.0, 500.0), st.floats(0.0, 50.0))
def test_lines_stay_outside_a_drag(low, width, eps):
    """Truth: the curve itself, sampled 40 times finer than the lines were drawn from."""

    def curve(m):
        return m * np.sqrt(m * m + eps * eps)

    x = np.linspace(low, low + width, 33)
    below, above = outside(x, curve(x))
    b = band(x, curve(x))
    fine = np.linspace(low, low + width, 1321)
    y = curve(fine)
    room = 1e-9 * float(np.max(np.abs(y)))
    for line in below:
        assert np.all(line.slope * fine + line.offset <= y + room)
    for line in above:
        assert np.all(line.slope * fine + line.offset >= y - room)
    assert np.all(b.slope * fine + b.below <= y + room)
    assert np.all(b.slope * fine + b.above >= y - room)
