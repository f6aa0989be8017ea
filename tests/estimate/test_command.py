# SPDX-License-Identifier: Apache-2.0
"""`serai estimate CASE READINGS`."""

import json

import pytest
import xarray as xr
from typer.testing import CliRunner

from serai import cli

HEAD = "quantity,where,value,unit,sigma\n"
GOOD = (
    "pressure,Field,60.02,bara,0.05\npressure,Town B,49.70,bara,0.05\nsupply,Field supply,70.4,kg_per_s,0.5\n"
    "withdrawal,Town A gas,39.8,kg_per_s,0.3\nwithdrawal,Town B gas,30.1,kg_per_s,0.3\n"
)


def call(*args):
    return CliRunner().invoke(cli.app, ["estimate", *map(str, args)])


@pytest.fixture
def readings(tmp_path):
    file = tmp_path / "readings.csv"
    file.write_text(HEAD + GOOD, encoding="utf-8")
    return file


def test_it_says_how_the_readings_fit(readings, tmp_path):
    out = tmp_path / "state.nc"
    done = call("two_pipes", readings, "--out", out)
    assert done.exit_code == 0, done.output
    assert "5 of 5 readings" in done.stdout
    assert "J 0.6 on 2 degrees of freedom" in done.stdout
    assert "supply of Field supply: reads 70.4 kg/s, estimated 70.06" in done.stdout
    with xr.open_dataset(out, engine="h5netcdf") as state:
        assert float(state.pressure.sel(gas_node="Town A")) == pytest.approx(53.795e5, rel=1e-4)


def test_json_holds_everything(readings):
    told = json.loads(call("two_pipes", readings, "--json").stdout)
    assert told["converged"]
    assert told["degrees_of_freedom"] == 2
    assert len(told["normalised"]) == 5
    assert told["findings"] == []


def test_what_does_not_fit_gives_exit_code_1(readings):
    readings.write_text(HEAD + GOOD.replace("39.8", "45.0"), encoding="utf-8")
    done = call("two_pipes", readings)
    assert done.exit_code == 1
    assert "withdrawal of Town A gas: reads 45 kg/s" in done.stdout
    assert "<-- too large" in done.stdout
    readings.write_text(HEAD + GOOD + "pressure,Nowhere,5,bara,1\n", encoding="utf-8")
    done = call("two_pipes", readings)
    assert done.exit_code == 1
    assert "finding: pressure of Nowhere: two_pipes has no element 'Nowhere'; set aside" in done.stdout


def test_a_file_that_is_not_there():
    done = call("two_pipes", "nothing.csv")
    assert done.exit_code == 2
    assert "no such file" in done.stderr
