# SPDX-License-Identifier: Apache-2.0
"""Costs: what a table of MATPOWER says, what is missing, what is not convex."""

import numpy as np
import pytest

import serai as sr
from serai.dispatch.objective import Curve, cost, fuel, losses
from serai.errors import SeraiError
from serai.system import System


def system(name):
    net = sr.read(name)
    return System(net, net.knowns())


def test_a_broken_line_is_interpolated_and_goes_on_beyond_its_ends():
    curve = Curve(0, "G", points=((0.0, 0.0), (10.0, 20.0), (30.0, 100.0)))
    x = np.array([-5.0, 5.0, 10.0, 20.0, 40.0])
    assert curve.value(x) == pytest.approx([-10.0, 10.0, 20.0, 60.0, 140.0])


def test_a_price_per_mwh_is_a_line_in_watts():
    s = system("four_buses")
    names = list(s.power.generators)
    goal = cost(s, dict.fromkeys(names, 40.0))
    x = np.zeros(s.equations.columns.size)
    x[s.equations.columns["active_power"].span] = 25e6
    assert goal.value(x[None, :]) == pytest.approx(len(names) * 25.0 * 40.0)


def test_missing_costs_are_named():
    with pytest.raises(SeraiError, match="no cost is known for Gas unit, Hydro unit"):
        cost(system("four_buses"))


def test_a_cost_of_nothing_that_runs_is_refused():
    s = system("four_buses")
    with pytest.raises(SeraiError, match=r"is not a running generator|is buses"):
        cost(s, {**dict.fromkeys(s.power.generators, 1.0), str(s.network["buses"].names[0]): 2.0})


def test_a_concave_cost_is_refused():
    with pytest.raises(SeraiError, match="Gas unit is not convex"):
        cost(system("four_buses"), {"Gas unit": [-1.0, 5.0, 0.0], "Hydro unit": 1.0})


def test_what_a_network_lacks_is_said():
    with pytest.raises(SeraiError, match="no power grid"):
        losses(system("two_pipes"))
    with pytest.raises(SeraiError, match="nothing burns gas"):
        fuel(system("two_pipes"))
