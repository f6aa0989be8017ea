# SPDX-License-Identifier: Apache-2.0
"""The page of a look-ahead, and the command: what they say is what was found."""

import json
import re

import pytest
from typer.testing import CliRunner

import serai as sr
from serai import cli
from serai.known import Known, Series
from serai.report.ahead import LEFT, WIDTH, survival_bars, write_ahead
from serai.simulate.ahead import ahead

runner = CliRunner()


@pytest.fixture(scope="module")
def seen():
    more = Series("withdrawal", "Town B gas", (0.0, 3600.0, 7200.0), (30.0, 30.0, 50.0))
    return ahead(sr.read("two_pipes"), hours=4.0, knowns=[more])


def test_a_bar_is_as_long_as_the_time(seen):
    svg = survival_bars(seen)
    widths = [float(w) for w in re.findall(r'class="(?:held|spent)" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', svg)]
    assert widths == [pytest.approx(s.hours / seen.hours * WIDTH, abs=0.06) for s in seen.survival]
    assert f'x="{LEFT:g}"' in svg
    assert "Town B: pressure" in svg


def test_the_page_needs_no_other_file(seen, tmp_path):
    page = write_ahead(seen, tmp_path / "sub" / "ahead.html").read_text(encoding="utf-8")
    assert "http" not in page.replace("http-equiv", "")
    assert f"{len(seen.reached)} limit" in page
    assert all(b.element in page for b in seen.reached)
    quiet = ahead(sr.read("two_pipes"), hours=1.0, losses=())
    assert "no limits reached; 0 of 0" in write_ahead(quiet, tmp_path / "a.html").read_text(encoding="utf-8")


def test_a_day_that_stops_says_so(tmp_path):
    stopped = ahead(
        sr.read("two_pipes"), hours=6.0, losses=(),
        knowns=[Series("withdrawal", "Town B gas", (0.0, 3600.0, 7200.0), (30.0, 30.0, 75.0)),
                Known("withdrawal", "Town A gas", 41.0)],
    )  # fmt: skip
    assert "does not go on" in write_ahead(stopped, tmp_path / "a.html").read_text(encoding="utf-8")


def test_the_command(tmp_path):
    given = ["ahead", "two_pipes", "--hours", "3", "--step", "15min"]
    done = runner.invoke(cli.app, [*given, "--out", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    assert re.search(r"Field supply +01:38:\d\d +Town B: pressure 39\.\d bara, below 40\.0", done.stdout)
    assert (tmp_path / "page.html").exists()
    found = json.loads(runner.invoke(cli.app, [*given, "--json", "--lose", "Pipe 2"]).stdout)
    assert [s["lost"] for s in found["survival"]] == ["Pipe 2"]
    assert found["mismatch"] < 1e-9
    wrong = runner.invoke(cli.app, [*given, "--lose", "Nowhere"])
    assert wrong.exit_code == 2
    assert "Nowhere" in wrong.stderr
