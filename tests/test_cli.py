# SPDX-License-Identifier: Apache-2.0
"""The command line: exit codes, texts, no traceback, no file half-written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serai import __version__, cli
from serai.network import bundled, read, write

runner = CliRunner()


def call(*args: object):
    return runner.invoke(cli.app, [str(a) for a in args])


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "case"
    write(read("two_pipes"), folder)
    return folder


def change(folder: Path, name: str, old: str, new: str) -> None:
    file = folder / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_version():
    assert call("--version").stdout.strip() == f"serai {__version__}"


def test_help_names_every_job():
    text = call("--help").stdout
    assert all(job in text for job in ("run", "check", "convert", "steady", "outages", "replay"))


def test_the_command_line_itself_loads_nothing_heavy():
    code = (
        "import sys, types; p = types.ModuleType('serai'); p.__path__ = [sys.argv[1]]; sys.modules['serai'] = p\n"
        "import serai.cli\n"
        "print(*(m for m in ('numpy', 'numba', 'xarray', 'pandas', 'scipy') if m in sys.modules))"
    )
    folder = str(Path(cli.__file__).parent.parent)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_run_writes_day_and_report(tmp_path):
    done = call("run", "four_buses", "--report", "--hours", 2, "--step", "30min", "--out", tmp_path, "--outage-time", 1)
    assert done.exit_code == 0, done.stderr
    folder = tmp_path / "four_buses"
    assert sorted(p.name for p in folder.iterdir()) == ["day.nc", "report.html"]
    assert "single outages examined" in done.stdout
    assert str(folder / "report.html") in done.stdout
    assert len(done.stdout.splitlines()) <= 40
    assert "\x1b" not in done.stdout + done.stderr


def test_steady_as_json():
    found = json.loads(call("steady", "two_pipes", "--json").stdout)
    assert found["mismatch"] < 1e-8
    assert found["results"]["pressure"]["units"] == "Pa"
    assert found["results"]["pressure"]["values"]["Field"] == pytest.approx(60e5)


def test_steady_in_words():
    done = call("steady", "two_pipes")
    assert done.exit_code == 0
    assert "Linepack" in done.stdout
    assert "limits   none broken" in done.stdout


def test_outages_are_listed():
    done = call("outages", "four_buses")
    assert done.exit_code == 0, done.stderr
    assert "Line 1-2" in done.stdout
    assert "examined: " in done.stdout
    assert "without an answer" not in done.stdout


def test_replays_are_listed():
    done = call("replay", "turkmenistan")
    assert done.exit_code == 0, done.stderr
    assert "2023_galkynysh_loss" in done.stdout
    assert "4 scenarios of turkmenistan" in done.stdout
    assert call("replay", "two_pipes").stdout == "no scenario of two_pipes\n"


def test_a_replay_prints_expected_beside_found():
    done = call("replay", "turkmenistan", "2023_galkynysh_loss")
    assert done.exit_code == 0, done.stderr
    assert "expected down, published −32.9 million m3/day" in done.stdout
    assert "expected at most 48 h" in done.stdout
    assert ": as published" in done.stdout
    assert "5 of 5 expectations met" in done.stdout


def test_a_replay_that_does_not_come_out_is_a_mistake(tmp_path):
    folder = tmp_path / "own"
    write(read("two_pipes"), folder)
    (folder / "scenarios").mkdir()
    scenario = """
title = "Less gas"
happened = "Town B takes half."
source = "nobody"
hours = 2
step = "30min"
[[event]]
at = "00:30"
quantity = "withdrawal"
where = "Town B gas"
value = 0.5
of = "mean"
why = "a test"
[[expect]]
text = "gas of the town"
measure = "change"
quantity = "withdrawal"
where = "Town B gas"
unit = "million_m3_per_day"
direction = "up"
source = "nobody"
"""
    (folder / "scenarios" / "less.toml").write_text(scenario, encoding="utf-8")
    done = call("replay", folder, "less")
    assert done.exit_code == 1, done.stderr
    assert "does not go up" in done.stdout
    assert "0 of 1 expectations met" in done.stdout
    assert call("replay", folder, folder / "scenarios" / "less.toml").stdout == done.stdout


def test_an_unknown_replay_names_those_there_are():
    refused(call("replay", "turkmenistan", "2024"), "no scenario '2024'", "2017_iran_stop")


@pytest.mark.parametrize("name", sorted(bundled()))
def test_check_finds_no_mistake(name):
    done = call("check", name)
    assert done.exit_code == 0
    assert "no mistake" in done.stdout


def test_check_lists_every_mistake(case):
    change(case, "network/pipes.csv", "100", "-100")
    change(case, "network/pipes.csv", ",500,", ",0,")
    done = call("check", case)
    assert done.exit_code == 1
    assert "pipes.csv row 2, length_km" in done.stdout
    assert "pipes.csv row 3, diameter_mm" in done.stdout


def test_convert_and_check_round_trip(tmp_path):
    folder = tmp_path / "written"
    assert call("convert", "turkmenistan", folder).exit_code == 0
    assert call("check", folder).exit_code == 0
    again, first = read(folder), read("turkmenistan")
    assert again.tables.keys() == first.tables.keys()
    assert again.gas == first.gas


def refused(done, *texts: str) -> None:
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stdout == ""
    for text in texts:
        assert text in done.stderr


def test_unknown_case(tmp_path):
    refused(call("run", "turkmenistam", "--out", tmp_path / "out"), "no such file", "turkmenistan")
    assert not (tmp_path / "out").exists()


def test_unknown_day(tmp_path):
    refused(call("run", "turkmenistan", "--day", "doomsday", "--out", tmp_path / "out"), "doomsday", "winter peak")
    assert not (tmp_path / "out").exists()


def test_broken_folder(case, tmp_path):
    (case / "case.toml").write_text("name = [", encoding="utf-8")
    refused(call("run", case, "--out", tmp_path / "out"), "case.toml")
    assert not (tmp_path / "out").exists()


def test_missing_column(case, tmp_path):
    change(case, "network/pipes.csv", "length_km", "lenght_km")
    refused(call("steady", case), "length")


def test_impossible_value(case):
    change(case, "network/pipes.csv", "100", "-100")
    refused(call("steady", case), "pipes.csv row 2, length_km", "-100")


def test_a_step_that_does_not_fit(tmp_path):
    refused(call("run", "two_pipes", "--step", "7min", "--out", tmp_path / "out"), "whole number of steps")
    assert not (tmp_path / "out").exists()


def test_a_demand_that_cannot_flow(case, tmp_path):
    text = (case / "setpoints.csv").read_text(encoding="utf-8").splitlines()
    head = text[0].split(",")
    value = head.index(next(h for h in head if h.startswith("value")))
    rows = [line.split(",") for line in text]
    for row in rows[1:]:
        if "withdrawal" in row:
            row[value] = str(float(row[value]) * 1000)
    (case / "setpoints.csv").write_text("\n".join(",".join(r) for r in rows) + "\n", encoding="utf-8")
    done = call("run", case, "--out", tmp_path / "out")
    refused(done, "error:")
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "out").write_text("", encoding="utf-8")
    refused(call("run", "two_pipes", "--hours", 1, "--out", tmp_path / "out", "--outage-time", 0), "out")


def test_a_fault_is_one_line_and_a_log(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("serai.network.read", lambda *_, **__: 1 / 0)
    done = call("steady", "two_pipes")
    assert done.exit_code == 3
    assert "Traceback" not in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "ZeroDivisionError" in (tmp_path / "serai" / "serai.log").read_text(encoding="utf-8")
    assert isinstance(call("--debug", "steady", "two_pipes").exception, ZeroDivisionError)


def test_interrupted(monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("serai.network.read", stop)
    done = call("steady", "two_pipes")
    assert done.exit_code == 130
    assert "Traceback" not in done.stderr


def test_as_a_process_without_a_terminal():
    done = subprocess.run(
        [sys.executable, "-m", "serai.cli", "steady", "nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: nowhere")
    assert "\x1b" not in done.stderr
