# SPDX-License-Identifier: Apache-2.0
"""The layout of live values, and what exists as plain objects."""

import json

import numpy as np
import pytest

import serai as sr
from serai.network.instruments import instruments
from serai.simulate.measured import measured
from serai.twin.elements import elements, has_map
from serai.twin.layout import WORDS, Layout, limits_of


@pytest.fixture(scope="module")
def net():
    return sr.read("turkmenistan")


def test_values_come_out_in_the_units_of_their_own_instruments(net):
    """The reading that a station sends is the outside truth: its own unit, converted by the points' factors."""
    from serai.telemetry.points import points

    truth, listed = sr.steady(net), instruments(net)
    layout = Layout(net, [], listed)
    si = np.array([float(np.nan_to_num(measured(truth, v.quantity, v.where))) for v in layout.values])
    shown = layout.shown(si)
    of = {p.tag: p for p in points(net)}
    for v, x, exact in zip(layout.values, shown, si.tolist(), strict=True):
        if of[v.tag].instrument.unit == v.unit:
            assert x == pytest.approx(of[v.tag].sent(exact), abs=0.51 * 10.0**-v.decimals)
        assert v.unit in WORDS


def test_what_is_not_known_is_none_and_never_zero(net):
    layout = Layout(net, [], instruments(net))
    values = np.full(len(layout), np.nan)
    values[3] = np.inf
    assert set(layout.shown(values)) == {None}
    assert json.dumps(layout.plain(), allow_nan=False)


def test_limits_are_those_of_the_tables(net):
    limits = limits_of(net)
    t = net["gas_nodes"]
    assert limits["pressure", "Gedaim"] == (t["pressure_min"][t.row("Gedaim")], t["pressure_max"][t.row("Gedaim")])
    assert limits["loading", net["lines"].names[0]][1] == 1.0
    broken = {(b.quantity, b.element) for b in sr.steady(net).breaks()}
    assert all(key in limits for key in broken)


def test_every_element_is_there_once_with_its_place(net):
    found = elements(net)
    assert len({e["id"] for e in found}) == len(found)
    ashgabat = next(e for e in found if e["name"] == "Mary 500")
    assert ashgabat["at"] == pytest.approx([61.8412, 37.5503], abs=1e-4)  # buses.csv
    pipe = next(e for e in found if e["kind"] == "pipe" and e["status"] == "in service")
    assert len(pipe["path"]) == 2
    low = {e["name"] for e in found if e["synthetic"]}
    assert low >= {str(n) for n, c in zip(net["pipes"].names, net["pipes"]["confidence"], strict=True) if c == "low"}
    assert has_map(net)
    assert not has_map(sr.read("two_pipes"))
    assert json.dumps(found, allow_nan=False)
