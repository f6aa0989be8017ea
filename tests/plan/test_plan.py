# SPDX-License-Identifier: Apache-2.0
"""What a plan says of itself, and the command that writes it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from plan.tiny_plans import plan_case, two_hubs
from serai import cli
from serai.network import bundled
from serai.plan.case import inputs, read_planning
from serai.plan.neutrality import Neutrality
from serai.plan.plan import plan
from serai.plan.told import shown

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(scope="module")
def found():
    return plan(
        two_hubs(), neutrality=Neutrality(max_share={"market": 0.75}, since=1), futures=4, gap=1e-4, seconds=30.0
    )


def test_shares_of_markets_add_up_and_keep_the_bound(found):
    volume = found.shares["market"].xs("volume", axis=1, level="measure")
    np.testing.assert_allclose(volume.sum(axis=1), 1.0, atol=1e-9)
    assert (volume.iloc[1:] <= 0.75 + 1e-6).all().all()
    revenue = found.shares["market"].xs("revenue", axis=1, level="measure")
    assert (revenue.iloc[1:] <= 0.75 + 1e-6).all().all()
    assert found.gap <= 1e-4


def test_flows_stay_below_what_stands_and_name_every_corridor(found):
    case = found.problem.case
    assert list(found.flows.columns) == [c.name for c in case.corridors]
    built = found.builds[found.builds["adds_to"] == "West"]["capacity"].sum()
    assert (found.flows["West"] <= built + 1e-9).all()
    assert (found.flows["East"] <= 12.0 + 1e-9).all()


def test_concentration_and_certificate_by_hand():
    """8 bcm over A and 7 over B: HHI (8/15)^2 + (7/15)^2. Without A, 10 leave over B; nothing is firm."""
    found = plan(plan_case(), futures=1, gap=1e-6, seconds=20.0)
    assert found.concentration["market"].iloc[0] == pytest.approx((8 / 15) ** 2 + (7 / 15) ** 2)
    without = found.certificate.set_index(["element", "year"])
    assert without.loc[("A", 2026), "left"] == pytest.approx(10.0)
    assert without.loc[("B", 2026), "left"] == pytest.approx(8.0)
    assert np.isnan(without.loc[("A", 2026), "cover"])
    assert without.loc[("Field", 2026), "missing"] == pytest.approx(10.0)  # the peak of 2 x 5


def test_what_the_control_room_is_told_is_what_the_plan_says(found):
    told = json.loads(json.dumps(shown(found), allow_nan=False))
    year = told["years"][-1]
    assert sum(f["volume"][-1] for f in told["flows"]) == pytest.approx(found.flows.loc[year].sum(), abs=0.01)
    markets = [s for s in told["shares"] if s["by"] == "market"]
    assert sum(s["plan"] for s in markets) == pytest.approx(1.0, abs=1e-3)
    assert {s["limit"] for s in markets} == {0.75}
    assert all(s["limit"] is None for s in told["shares"] if s["by"] == "route")
    assert [b["name"] for b in told["builds"]] == found.builds["project"].tolist()
    assert told["value"] * 1e3 == pytest.approx(found.value)
    assert "replay" not in told


def test_the_command_writes_tables_and_the_page(tmp_path):
    plain = ["--futures", "2", "--seconds", "3", "--max-share", "1", "--max-loss", "1", "--no-survive", "--no-checks"]
    done = CliRunner().invoke(cli.app, ["plan", "turkmenistan", *plain, "--mps", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "turkmenistan"
    flows = pd.read_csv(folder / "plan_flows.csv", index_col=0)
    assert flows.index.tolist() == list(range(2027, 2042))
    assert "million USD, gap" in done.stdout
    assert json.loads((folder / "plan.json").read_text())["years"] == list(range(2027, 2042))
    html = (folder / "plan.html").read_text(encoding="utf-8")
    assert "Export plan of Turkmenistan" in html
    assert "http" not in html.replace("http://www.w3.org", "")
    assert (folder / "plan.mps").is_file()


def test_inputs_tell_how_sure_they_are(found):
    case = read_planning("turkmenistan")
    table = inputs(case)
    assert set(table["confidence"]) == {"high", "medium", "low"}
    assert len(table[table["file"] == "corridors.csv"]) == len(case.corridors)
    assert found.inputs["file"].nunique() > 5


def test_the_command_names_a_mistake(tmp_path):
    done = CliRunner().invoke(cli.app, ["plan", "turkmenistan", "--max-share", "1.5", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "between 0 and 1" in done.stderr


@pytest.fixture
def own(tmp_path) -> Path:
    """A copy of the bundled tables, seven years of them: the bounds hold in the last."""
    shutil.copytree(bundled()["turkmenistan"] / "planning", tmp_path / "own" / "planning")
    change(tmp_path / "own", "plan.toml", "years = 15", "years = 7")
    return tmp_path / "own"


def change(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / "planning" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def command(folder: Path, *more: str) -> Result:
    quick = ["--futures", "2", "--seconds", "5", "--gap", "0.004", "--no-checks", "--out", str(folder.parent)]
    return CliRunner().invoke(cli.app, ["plan", str(folder), *quick, *more])


def test_the_command_names_file_row_and_column_of_all_mistakes(own):
    change(own, "markets.csv", "China,275,", "China,,")
    change(own, "corridors.csv", "transit_fee_usd", "transit_fee_rub")
    done = command(own)
    assert done.exit_code == 2
    assert "markets.csv row 2, price_usd_per_1000m3: must be given" in done.stderr
    assert "corridors.csv row 1, transit_fee_rub_per_1000m3: the unit or currency does not fit" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_names_bounds_that_no_plan_keeps(own):
    """Without the project for its gas the West freezes when the line to it fails, whatever is built."""
    rows = (own / "planning" / "projects.csv").read_text(encoding="utf-8").splitlines()
    kept = [r for r in rows if not r.startswith("Block 1 second stage")]
    assert len(kept) == len(rows) - 1
    (own / "planning" / "projects.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    done = command(own)
    assert done.exit_code == 2
    for said in ("homes without East-West lack", "survive 'any one element': East-West", "output of the fields of West",
                 "peak demand of West"):  # fmt: skip
        assert said in done.stderr


def test_the_command_plans_at_other_risks_and_bounds(own):
    """25 points, the plan among them: in the table, in the page and in what the control room reads."""
    done = command(own, "--no-survive", "--max-share", "0.45", "--risk", "0.25", "--frontier")
    assert done.exit_code == 0, done.output
    assert "frontier: 25 points, 0 with a gap above 0.5 %" in done.stdout
    table = pd.read_csv(own.parent / "own" / "plan_frontier.csv", index_col=0)
    assert len(table) == 25
    assert sorted(set(table["share"])) == [0.45, 0.5, 0.6, 0.75, 1.0]
    assert (table["gap"] <= 0.005).all()
    (chosen,) = table[table["chosen"]].to_dict("records")
    assert (chosen["risk"], chosen["share"]) == (0.25, 0.45)
    for _, line in table.groupby("risk"):  # a looser bound never costs more than what is left to prove
        worth = line.sort_values("share")
        assert (worth["value"].to_numpy()[:-1] <= worth["bound"].to_numpy()[1:] + 1e-6).all()
    told = json.loads((own.parent / "own" / "plan.json").read_text(encoding="utf-8"))
    assert len(told["points"]) == 25
    assert [p["limit"] for p in told["points"][:5]] == [45.0, 50.0, 60.0, 75.0, 100.0]
    assert "What caution and neutrality cost" in (own.parent / "own" / "plan.html").read_text(encoding="utf-8")


def test_when_the_time_is_up_the_best_plan_comes_with_its_gap():
    """A tenth of a second proves little: the plan keeps its bounds all the same, and says what is left to prove."""
    rule = Neutrality(max_share=0.45, survive="any one element")
    short = plan("turkmenistan", neutrality=rule, futures=10, gap=1e-9, seconds=0.1)
    assert short.gap > 1e-9
    assert short.value < short.bound
    assert (short.shares.iloc[6:].max() <= 0.45 + 1e-6).all()
    assert short.certificate[short.certificate["year"] >= 2033]["holds"].all()
    longer = plan("turkmenistan", neutrality=rule, futures=10, gap=5e-2, seconds=20.0)
    assert longer.value <= short.bound * (1 + 1e-9)
    assert short.value <= longer.bound * (1 + 1e-9)
