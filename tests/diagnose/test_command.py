# SPDX-License-Identifier: Apache-2.0
"""`serai diagnose CASE READINGS`."""

import json

import pytest
from typer.testing import CliRunner

from diagnose.scans import country, scan
from serai import cli
from serai.known import Known


def call(*args):
    return CliRunner().invoke(cli.app, ["diagnose", *map(str, args)])


@pytest.fixture
def written(tmp_path):
    def write(batch):
        rows = [f"{batch.register[int(t)]},{v!r},{unit}" for t, v, unit in
                zip(batch.tag, batch.value.tolist(), units(), strict=True)]  # fmt: skip
        file = tmp_path / "readings.csv"
        file.write_text("tag,value,unit\n" + "\n".join(rows), encoding="utf-8")
        return file

    return write


def units():
    si = {"pressure": "pa", "withdrawal": "kg_per_s", "supply": "kg_per_s", "flow": "kg_per_s", "magnitude": "pu",
          "fuel": "kg_per_s", "plant_fuel": "kg_per_s", "inlet_pressure": "pa", "outlet_pressure": "pa"}  # fmt: skip
    return [si.get(i.quantity, "var" if "reactive" in i.quantity else "w") for i in country()[1]]


def test_a_clean_scan_ends_with_0(written):
    done = call("turkmenistan", written(scan(seed=1)), "--kept", "0.01")
    assert done.exit_code == 0, done.output
    assert "nothing is wrong that these readings could tell" in done.stdout


def test_a_leak_is_said_and_ends_with_1(written):
    file = written(scan([Known("withdrawal", "CAC CS-3 Outlet", 15.0)], seed=1))
    done = call("turkmenistan", file)
    assert done.exit_code == 1, done.output
    assert "1. leak CAC CS-3 Outlet: 1" in done.stdout
    assert "kg/s" in done.stdout
    told = json.loads(call("turkmenistan", file, "--json").stdout)
    assert told["faults"][0]["suspects"][0]["where"] == "CAC CS-3 Outlet"
    assert told["faults"][0]["size"] == pytest.approx(15.0, abs=4.0 * told["faults"][0]["sigma"])
    assert told["commands"] == []


def test_no_file():
    assert call("turkmenistan", "none.csv").exit_code == 2
