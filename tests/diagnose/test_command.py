# SPDX-License-Identifier: Apache-2.0
"""`serai diagnose CASE READINGS`."""

import json

import pytest
from typer.testing import CliRunner

import serai as sr
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


def test_a_series_of_readings_with_its_page_and_its_sheets(tmp_path):
    """The metered line as a case folder, forty minutes in a CSV with times: a meter is played again."""
    from estimate.moving_line import case, meters, read, truth

    sr.write(case(), tmp_path / "line")
    z = read(truth(40 / 60.0, 5), 6)
    z[30:, 2] = z[10:20, 2]
    lines = ["time,tag,value,unit"]
    for k, row in enumerate(z):
        lines += [f"2026-01-15T05:{k:02d}:00Z,{m.tag},{v:.9g},{'pa' if m.quantity == 'pressure' else 'kg_per_s'}"
                  for m, v in zip(meters(), row, strict=True)]  # fmt: skip
    (tmp_path / "readings.csv").write_text("\n".join(lines))
    asked = tmp_path / "line", tmp_path / "readings.csv"
    found = call(*asked, "--report", tmp_path / "page.html", "--sheet", tmp_path / "sheet.csv")
    assert found.exit_code == 1, found.output
    assert "forged export FT since 2026-01-15 05:30 UTC" in found.output
    assert "balance of the gas day" in found.output
    assert "Readings are forged: export FT" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len((tmp_path / "sheet.csv").read_text().splitlines()) == 3
    told = json.loads(call(*asked, "--json").stdout)
    assert [x["kind"] for x in told["incidents"]] == ["forged"]
    assert told["incidents"][0]["open"]
    (tmp_path / "readings.csv").write_text("time,tag\n1,2\n")
    refused = call(*asked)
    assert refused.exit_code == 2
    assert "value missing" in refused.output
