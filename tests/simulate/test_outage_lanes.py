# SPDX-License-Identifier: Apache-2.0
"""Losses in lanes: each is what its own examination says, whatever it cuts off, stops or switches."""

import importlib

import numpy as np
import pytest

import serai as sr
from serai.known import Known
from simulate.small import GRID, electric_station, line, line_knowns

outages = importlib.import_module("serai.simulate.outages")


def both(network, monkeypatch, **given):
    """The table of losses together and the one by one, in one order, and the losses settled together."""
    settled = {}
    whole = outages._Study.together
    monkeypatch.undo()

    def noted(self, names):
        settled.update(whole(self, names))
        return settled

    monkeypatch.setattr(outages, "WORTHWHILE", 1)
    monkeypatch.setattr(outages._Study, "together", noted)
    lanes = sr.outages(network, **given)
    monkeypatch.setattr(outages, "WORTHWHILE", 10**9)
    alone = sr.outages(network, **given)
    return lanes, alone.sel(outage=lanes["outage"].values), settled


def check_same(lanes, alone):
    assert list(lanes["outage"].values) == list(alone["outage"].values)
    for v in ("kind", "status", "finding", "breaks"):
        different = lanes[v].values != alone[v].values
        assert not different.any(), [
            (n, a, b)
            for n, a, b in zip(lanes["outage"].values, lanes[v].values, alone[v].values, strict=True)
            if a != b
        ]
    for v in ("unserved_gas", "unserved_export"):
        np.testing.assert_allclose(lanes[v].values, alone[v].values, rtol=1e-7, atol=1e-6, err_msg=v)
    np.testing.assert_allclose(lanes["unserved_power"].values, alone["unserved_power"].values, rtol=1e-7, atol=1.0)
    np.testing.assert_array_equal(np.isnan(lanes["mismatch"].values), np.isnan(alone["mismatch"].values))
    assert np.nanmax(lanes["mismatch"].values) < 1e-8


def test_all_losses_of_the_country_are_what_each_says_alone(monkeypatch):
    """253 losses: islands that live on their fields, plants without gas, stations passed through, reactive limits."""
    network = sr.read("turkmenistan")
    lanes, alone, settled = both(network, monkeypatch)
    check_same(lanes, alone)
    assert lanes.sizes["outage"] > 250
    assert len(settled) >= 230
    found = [settled[n] for n in settled]
    assert sum(bool(s.relief) for s in found) > 40
    assert sum(bool(s.modes) for s in found) >= 8


def in_lanes(frame):
    frame.lanes = True
    return frame


def test_lanes_say_the_same(monkeypatch):
    """The same equations sixteen losses at a time; `benchmarks/outages.py` does so for the country."""
    network = sr.read("loop_with_station")
    plain = outages.frame
    monkeypatch.setattr(outages, "WORTHWHILE", 10**9)
    alone = sr.outages(network)
    monkeypatch.setattr(outages, "WORTHWHILE", 1)
    monkeypatch.setattr(outages, "frame", lambda *a, **k: in_lanes(plain(*a, **k)))
    lanes = sr.outages(network)
    check_same(lanes, alone.sel(outage=lanes["outage"].values))
    base = in_lanes(plain(network, (), hour=None, distributed=False))
    loss = outages.describe(base, "Cross pipe", [Known("in_service", "Cross pipe", 0.0)], lambda *_: [])
    assert set(base.examine([loss])) == {"Cross pipe"}


@pytest.mark.parametrize("name", ["loop_with_station", "two_pipes", "four_buses"])
def test_small_cases(name, monkeypatch):
    lanes, alone, settled = both(sr.read(name), monkeypatch)
    check_same(lanes, alone)
    assert settled


def test_a_line_whose_only_pipe_is_lost_and_a_station_whose_bus_dies(monkeypatch):
    lanes, alone, _ = both(line(), monkeypatch, knowns=line_knowns())
    check_same(lanes, alone)
    base = [Known("pressure", "field", 60e5), Known("withdrawal", "town", 60.0), Known("ratio", "CS", 1.4)]
    lanes, alone, settled = both(electric_station(), monkeypatch, knowns=[*base, *GRID])
    check_same(lanes, alone)
    assert "L" not in settled  # a part of the grid is dead: examined alone
