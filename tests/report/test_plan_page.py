# SPDX-License-Identifier: Apache-2.0
"""The page of a plan: every part of what was asked stands in it, it is well-formed, and it loads nothing."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from plan.made_plans import made
from serai.plan.case import Derated, read_planning
from serai.plan.neutrality import Neutrality
from serai.plan.problem import Problem
from serai.plan.replay import Cut, Replay, Trial
from serai.plan.scenarios import draw
from serai.report.plan import Study, page, study_of


@pytest.fixture(scope="module")
def study() -> Study:
    case = read_planning("turkmenistan")
    rule = Neutrality(max_share={"market": 0.5}, survive="any one element")
    plan = made(Problem(case, draw(case, 4)), ["Herat section"], ["Afghan supply"], rule)
    trials = (
        Trial(2027, "winter", 40.0, 40.0, carried=True, mismatch=1e-12),
        Trial(2027, "spring", 60.0, 53.0, carried=False, element="CAC-3 <Balkan> CS", quantity="flow", side="low"),
    )
    cut = Cut("Iran Etrek", 1.4, 8.0, "CAC-3 <Balkan> CS", 2027)
    frontier = pd.DataFrame({"risk": [0.0, 0.0, 0.5, 0.5], "share": [0.5, 1.0, 0.5, 1.0],
                             "value": [80e3, 90e3, 60e3, np.nan], "bound": [80e3, 91e3, 60e3, np.nan],
                             "gap": [0.0, 0.0111, 0.0, np.nan], "mean": [80e3, 90e3, 79e3, np.nan],
                             "worst": [30e3, 28e3, 40e3, np.nan], "price_dual": [210.0, 0.0, 100.0, np.nan],
                             "price_difference": [200.0, np.nan, np.nan, np.nan],
                             "proven": [True, False, True, False], "chosen": [True, False, False, False],
                             "builds": ["Herat section", "Line <D>", "", ""], "contracts": [""] * 4})  # fmt: skip
    return study_of([(plan, Replay(trials, (cut,)))], frontier=frontier)


def test_the_page_is_well_formed_and_says_what_was_asked(study):
    html = page(study)
    body = html[html.index("<body>") : html.index("</body>") + 7]
    ET.fromstring(body.replace("&nbsp;", " "))  # noqa: S314 - our own text
    for part in ("Export by bloc", "Shares and neutrality limits", "Value over futures", "Value against risk",
                 "Price of neutrality", "Hydraulic replay", "N-1 index", "Smallest sets of outages", "Back-test",
                 "Regret",
                 "What caution and neutrality cost", "no plan keeps the bounds", "1 gap wider than asked",
                 "with Line &lt;D&gt;", "this plan</b>: Herat section", "without Herat section",
                 "signed already",
                 "Rounds of plan and replay", "How sure the inputs are"):  # fmt: skip
        assert part in html
    assert "CAC-3 &lt;Balkan&gt; CS" in html
    assert "<Balkan>" not in html
    assert "http" not in html.replace("http://www.w3.org", "")


def test_verdicts_are_those_of_the_numbers(study):
    html = page(study)
    assert "The pipes refuse 1 day" in html
    over = float(study.plan.shares["market"].iloc[6:].max().max())
    assert ("A share passes its limit" in html) == (over > 0.5)
    certificate = study.plan.certificate
    late = certificate[certificate["year"] >= 2033]
    assert ("N-1 fails" in html) == bool((~late["holds"]).any())


def test_cuts_name_the_years_and_seasons_they_hold_for(study):
    """A corridor that shares its pipes is cut in some years only; the worst of them stands for all."""
    shared = [
        Cut("Trans-Caspian", c, 15.0, "Malay CS", y, derated=Derated("Trans-Caspian", y, winter, c / 15.0))
        for y, winter, c in (
            (2040, True, 12.0),
            (2041, True, 11.0),
            (2039, True, 14.0),
            (2036, True, 13.0),
            (2041, False, 9.0),
        )
    ]
    plan, replay = study.rounds[0]
    html = page(Study(plan, rounds=[(plan, Replay(replay.trials, (*replay.cuts, *shared)))]))
    assert (
        "Iran Etrek carries 1.4 of 8.0; Trans-Caspian carries as little as 11.0 of 15.0 in winter 2036, 2039 to 2041; "
        "Trans-Caspian carries 9.0 of 15.0 outside winter 2041"
    ) in html


def test_every_table_is_there(study):
    assert set(study.tables()) == {"breaking", "backtest", "frontier", "regret", "monte_carlo", "replay"}
    assert np.isfinite(study.tables()["monte_carlo"]["mean"]).all()
