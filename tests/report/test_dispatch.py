# SPDX-License-Identifier: Apache-2.0
"""The page of a dispatch, and the option that writes it: what it says is what was found."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

import serai as sr
from serai import cli
from serai.dispatch import dispatch
from serai.report.dispatch import dispatch_page, write_dispatch


@pytest.fixture(scope="module")
def day():
    return dispatch(sr.read("loop_with_station"), hours=3, step="1h", seconds=20)


def test_the_hours_add_up_to_the_whole(day):
    fuel = day.table["value_after"].values
    assert fuel.sum() == pytest.approx(day.value, rel=1e-12)
    assert fuel == pytest.approx(day.result.fuel_total.values[1:] * 3600.0, rel=1e-9)
    assert day.table["value_before"].values.sum() == pytest.approx(day.value_before, rel=1e-12)


def test_a_day_is_drawn(day, tmp_path):
    page = write_dispatch(day, tmp_path / "sub" / "page.html").read_text(encoding="utf-8")
    assert "http" not in page
    low, high = (f"{v / 1e3:.1f}" for v in (day.table["value_after"].min(), day.table["value_after"].max()))
    assert f"Fuel in each step: after from {low} to {high} t; before from" in page
    ratio = day.table["after"].values[:, 0]
    assert f"Station: after from {ratio.min():.1f} to {ratio.max():.1f} " in page
    assert f"<dd>{day.value / 1e3:.3f} t</dd>" in page
    assert all(b.element in page for b in day.binding[:15])


def test_a_steady_state_is_a_table_with_what_binds():
    found = dispatch(sr.read("loop_with_station"), bounds={("pressure", "Town A"): (60e5, np.inf)})
    page = dispatch_page(found)
    row = re.search(r"<td>Station</td><td>ratio</td>(.*?)</tr>", page).group(1)
    assert re.findall(r">([−\d.]+)<", row) == ["1.400", "1.290", "−0.110"]
    worth = 0.01 * 60e5 * found.binding[0].price
    row = re.search(r"<td>Town A</td><td>pressure</td><td>at least</td>(.*?)</tr>", page).group(1)
    shown = [float(v) for v in re.findall(r">([\d.]+)<", row)]
    assert shown == [60.0, pytest.approx(worth, abs=5e-5)]


def test_what_is_broken_stands_in_red():
    found = dispatch(sr.read("loop_with_station"), [sr.Known("withdrawal", "Town A gas", 260.0)])
    page = dispatch_page(found)
    assert found.status == "infeasible near"
    assert "What is broken" in page
    worst = found.violations[0]
    assert re.search(rf'<td>{worst.element}</td><td>{worst.quantity}</td><td class="n"><span class="bad">', page)


def test_the_command_writes_it(tmp_path):
    target = tmp_path / "page.html"
    done = CliRunner().invoke(cli.app, ["dispatch", "loop_with_station", "--report", str(target)])
    assert done.exit_code == 0, done.output
    assert f"written  {target}" in done.output.replace("\n", "")
    assert "Set-points" in target.read_text(encoding="utf-8")
