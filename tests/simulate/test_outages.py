# SPDX-License-Identifier: Apache-2.0
"""N-1 on small networks whose losses a person can foresee."""

import pytest

import serai as sr
from serai.errors import NoReference, UnknownName
from serai.known import Known
from serai.simulate.outages import outages
from simulate.small import GRID, electric_station, line, line_knowns, station


def row(table, name):
    return {k: table[k].sel(outage=name).item() for k in table.data_vars}


def test_losing_the_only_pipe_leaves_the_town_without_gas():
    table = outages(line(), knowns=line_knowns())
    lost = row(table, "P")
    assert lost["status"] == "solved"
    assert lost["unserved_gas"] == pytest.approx(50.0)
    assert "home use short of" in lost["finding"]


def test_losing_a_station_passes_the_gas_through():
    base = [Known("pressure", "field", 60e5), Known("withdrawal", "town", 60.0), Known("ratio", "CS", 1.4)]
    net = station()
    nodes = net["gas_nodes"].replace(pressure_min=[0.0, 0.0, 0.0, 55e5])
    table = outages(net.with_tables(gas_nodes=nodes), knowns=base, kinds=("compressors",))
    lost = row(table, "CS")
    assert lost["unserved_gas"] == 0.0
    assert lost["breaks"] == 1
    assert "D: pressure" in lost["finding"]


def test_losing_a_line_is_seen_in_gas_and_power():
    base = [*GRID, Known("pressure", "field", 60e5), Known("withdrawal", "town", 30.0), Known("ratio", "CS", 1.4)]
    table = outages(electric_station(), knowns=base, elements=["L", "AB"])
    assert "CS bypassed" in row(table, "L")["finding"]
    assert row(table, "AB")["unserved_gas"] == pytest.approx(30.0)
    assert table["outage"].values[0] == "AB"  # worst first


def test_a_field_lost_behind_its_station():
    table = outages(line(), knowns=line_knowns(), elements=["field"])
    assert row(table, "field")["unserved_gas"] == pytest.approx(50.0)


def test_unknown_elements_are_named():
    with pytest.raises(UnknownName, match="no element 'X' to lose"):
        outages(line(), knowns=line_knowns(), elements=["X"])


def test_progress_and_public_name():
    told = []
    sr.outages(line(), knowns=line_knowns(), progress=told.append)
    assert told[-1] == 1.0


def test_units_without_gas_stop_and_standing_ones_stay():
    """A plant branch that is cut off holds no city, only units: they must not run on without gas."""
    net = sr.read("turkmenistan")
    with pytest.raises(NoReference, match="Watan PS"):
        sr.steady(net, [sr.Known("in_service", "Kerki Gate - Watan PS", 0.0)])
    table = sr.outages(net.on("summer"), elements=["Kerki Gate - Watan PS"])
    assert str(table["status"].values[0]) == "solved"
    assert "units without gas" in str(table["finding"].values[0])
    assert "Mary ST3" not in str(table["finding"].values[0])  # stands in summer and is not started


def test_surplus_of_a_part_that_is_cut_off_is_shut_in():
    net = sr.read("turkmenistan")
    table = sr.outages(net, elements=["Zeagli - Ylanly Gate", "Shatlyk EW CS"]).to_dataframe()
    assert "Zeagli-Derweze field shut in by 6.5 million m3/d" in table.loc["Zeagli - Ylanly Gate", "finding"]
    assert "Abadan Head Regulator open" in table.loc["Shatlyk EW CS", "finding"]
