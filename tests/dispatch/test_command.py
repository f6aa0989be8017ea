# SPDX-License-Identifier: Apache-2.0
"""The command: what it prints, writes and returns."""

import csv
import json

import pytest
from typer.testing import CliRunner

from serai.cli import app

GAS = ["--choose", "stations", "--choose", "control valves"]


def run(*arguments):
    return CliRunner().invoke(app, ["dispatch", *arguments])


def test_set_points_are_printed_and_written(tmp_path):
    done = run("loop_with_station", "--bound", "pressure:Town A=6e6..", "--out", str(tmp_path))
    assert done.exit_code == 0
    assert "optimal, fuel" in done.output
    assert "binding: pressure of Town A, at least 60.00 bar" in done.output
    with (tmp_path / "setpoints.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["quantity"], r["where"]) for r in rows] == [("ratio", "Station")]
    assert 1.0 < float(rows[0]["value"]) < 1.4
    assert (tmp_path / "dispatch.nc").exists()


def test_json_holds_all_of_it():
    done = run("loop_with_station", "--json")
    record = json.loads(done.output)
    assert record["status"] == "optimal"
    assert record["mismatch"] < 1e-9
    assert record["setpoints"][0]["where"] == "Station"


def test_a_day_writes_commands(tmp_path):
    done = run("loop_with_station", "--hours", "3", "--out", str(tmp_path))
    assert done.exit_code == 0
    with (tmp_path / "setpoints.csv").open(encoding="utf-8") as file:
        times = [float(r["time_s"]) for r in csv.DictReader(file)]
    assert times == sorted(times)
    assert set(times) <= {0.0, 3600.0, 7200.0}


def test_what_cannot_be_is_said_with_exit_code_2():
    done = run("turkmenistan", *GAS, "--bound", "pressure:Dashoguz Gate=7.4e6..", "--seconds", "20")
    assert done.exit_code == 2
    assert "broken: pressure of Dashoguz Gate" in done.output
    assert "cannot hold together" in done.output


@pytest.mark.parametrize("text", ["x=1", "pressure=1..2", "pressure:Town A=low..high"])
def test_a_bound_that_is_none_is_refused(text):
    done = run("loop_with_station", "--bound", text)
    assert done.exit_code == 2
    assert "is no bound" in done.output
