# SPDX-License-Identifier: Apache-2.0
"""Ensembles of days: every scenario as `transient` has it, and the bad ones harm nobody."""

import numpy as np
import pandas as pd
import pytest

import serai as sr
from serai import Known, at
from serai.errors import BadTimes, SeraiError, UnknownName
from serai.known import Series
from simulate.small import line, line_knowns, station

COMPARED = ("pressure", "flow", "withdrawal", "ratio", "power", "magnitude", "active_power")
STATION = [Known("pressure", "field", 60e5), Known("withdrawal", "town", 60.0), Known("outlet_pressure", "CS", 62e5)]


def check_against_transient(many, s, one):
    for name in COMPARED:
        if name in many.dataset:
            mine, theirs = many.dataset[name].values[s], one.dataset[name].values
            scale = np.nanmax(np.abs(theirs), initial=1e-9)
            np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-8 * scale, err_msg=f"{name} of scenario {s}")


def test_days_are_what_transient_says():
    network, random = line(), np.random.default_rng(1)
    table = {
        "withdrawal@town": random.uniform(30.0, 50.0, 24),
        "withdrawal@town@02:00": random.uniform(30.0, 60.0, 24),
        "pressure@field@04:00": random.uniform(55e5, 65e5, 24),
    }
    swing = Series("pressure", "field", (0.0, 7200.0), (60e5, 61e5))
    knowns = [*line_knowns(), swing]
    many = sr.ensemble(network, table, hours=6, step="15min", knowns=knowns)
    assert many.failed == {}
    assert many.dataset["pressure"].dims == ("scenario", "time", "gas_node")
    assert many.dataset["time"].values[-1] == 6 * 3600.0
    assert many.dataset["ledger_error"].values.max() < 1e-10
    assert many.dataset["mismatch"].values.max() < 1e-8
    for s in (0, 11, 23):
        row = {k: v[s] for k, v in table.items()}
        one = sr.transient(
            network, hours=6, step="15min",
            knowns=[*line_knowns(), swing, Known("withdrawal", "town", row["withdrawal@town"])],
            events=[
                at("02:00", Known("withdrawal", "town", row["withdrawal@town@02:00"])),
                at("04:00", Known("pressure", "field", row["pressure@field@04:00"])),
            ],
        )  # fmt: skip
        check_against_transient(many, s, one)


def test_devices_switch_in_the_middle_of_the_day():
    """A station with little power, a town that takes more from 02:00 on: most meet its limit, in groups or alone."""
    network = station(power_max=1.2e6, ratio_max=2.0)
    taken = np.r_[np.full(20, 80.0), np.linspace(20.0, 90.0, 12)]
    table = pd.DataFrame({"withdrawal@town@02:00": taken}, index=[f"case {k}" for k in range(32)])
    many = sr.ensemble(network, table, hours=5, step="30min", knowns=STATION)
    assert many.failed == {}
    limited = many.dataset["power"].values[:, -1, 0] > 1.2e6 * 0.999
    assert 20 <= limited.sum() < 32
    for s in (0, 21, 26, 31):
        events = [at("02:00", Known("withdrawal", "town", float(taken[s])))]
        check_against_transient(
            many, s, sr.transient(network, hours=5, step="30min", knowns=STATION, events=events)
        )  # fmt: skip
    assert list(many.dataset["scenario"].values[:2]) == ["case 0", "case 1"]


def test_bad_scenarios_have_a_reason_and_harm_nobody():
    network, values = line(), np.full(20, 45.0)
    values[[3, 7]] = np.nan, 1e4
    many = sr.ensemble(network, {"withdrawal@town@01:00": values}, hours=3, step="15min", knowns=line_knowns())
    assert list(many.failed) == [3, 7]
    assert many.failed[3].startswith("bad input: withdrawal@town is nan")
    assert "at 0" in many.failed[7]
    assert "pressure would fall below zero" in many.failed[7]
    assert many.dataset["status"].values[7] == "refused by physics"
    assert np.isnan(many.dataset["pressure"].values[[3, 7]]).all()
    alone = sr.ensemble(network, {"withdrawal@town@01:00": [45.0]}, hours=3, step="15min", knowns=line_knowns())
    rest = np.setdiff1d(np.arange(20), [3, 7])
    np.testing.assert_allclose(
        many.dataset["pressure"].values[rest], alone.dataset["pressure"].values[[0] * 18], rtol=1e-9
    )


def test_what_changes_the_equations_is_taken_one_by_one():
    network = station()
    events = [at("01:00", Known("open", "CS", 1.0))]
    table = {"withdrawal@town": [50.0, 55.0]}
    many = sr.ensemble(network, table, hours=2, step="30min", knowns=STATION, events=events)
    assert many.failed == {}
    knowns = [*STATION, Known("withdrawal", "town", 55.0)]
    check_against_transient(many, 1, sr.transient(network, hours=2, step="30min", knowns=knowns, events=events))


def test_times_and_names_that_fit_nothing_are_refused():
    network, knowns = line(), line_knowns()
    with pytest.raises(UnknownName, match="nowhere"):
        sr.ensemble(network, {"withdrawal@nowhere@01:00": [1.0]}, hours=2, knowns=knowns)
    with pytest.raises(BadTimes, match="on a step"):
        sr.ensemble(network, {"withdrawal@town@01:07": [1.0]}, hours=2, knowns=knowns)
    with pytest.raises(BadTimes, match="on a step"):
        sr.ensemble(network, {"withdrawal@town@05:00": [1.0]}, hours=2, knowns=knowns)
    with pytest.raises(BadTimes, match="whole number"):
        sr.ensemble(network, {"withdrawal@town": [1.0]}, hours=2, step="7min", knowns=knowns)
    events = [at("00:07", Known("withdrawal", "town", 1.0))]
    with pytest.raises(BadTimes, match="lie on the steps"):
        sr.ensemble(network, {"withdrawal@town": [1.0]}, hours=2, knowns=knowns, events=events)
    with pytest.raises(SeraiError, match="not known at the start"):
        sr.ensemble(network, {"supply@field@01:00": [1.0]}, hours=2, knowns=knowns)


def test_days_go_to_disk_and_are_taken_up_again(tmp_path):
    network, knowns = line(), line_knowns()
    table = pd.DataFrame({"withdrawal@town@01:00": np.linspace(30.0, 60.0, 40)})
    given = {"hours": 2, "step": "30min", "knowns": knowns, "outputs": ["pressure"], "chunk": 16}
    whole = sr.ensemble(network, table, **given)
    first = sr.ensemble(network, table, **given, to=tmp_path)
    assert first.dataset.sizes["scenario"] == 40
    (tmp_path / "part-000001.nc").unlink()
    sr.ensemble(network, table, **given, to=tmp_path)
    import xarray as xr

    with xr.open_dataset(tmp_path / "part-000001.nc", engine="h5netcdf") as part:
        np.testing.assert_allclose(part["pressure"].values, whole.dataset["pressure"].values[16:32], rtol=1e-9)
        assert part["pressure"].dims == ("scenario", "time", "gas_node")
