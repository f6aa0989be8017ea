# SPDX-License-Identifier: Apache-2.0
"""Losses of one element in Turkmenistan against the first study of the case, and the page that says so."""

import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest

import serai as sr
from serai.network.quality import SOURCES, quality, words
from serai.network.sheet import table_text
from serai.units import DAY

ROOT = Path(__file__).resolve().parent.parent
TRIED = ("winter peak", "summer")  # the average day is on the page; here it would cost time and show nothing new


@pytest.fixture(scope="module")
def script():
    """The script that makes what is made by rule."""
    spec = importlib.util.spec_from_file_location("turkmenistan", ROOT / "scripts" / "turkmenistan.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def country():
    return sr.read("turkmenistan")


@pytest.fixture(scope="module")
def compared(script, country):
    return script.agreement(country, TRIED)


def test_losses_agree_with_the_first_study(script, compared, capsys):
    """By element: all gas losses; all power losses but whole plants, and two units that are spread without a cap."""
    rows, only, _ = compared
    with capsys.disabled():
        print("\nlosses that break something, by element:")
        print(pd.DataFrame(rows, columns=script.AGREEMENT).to_string(index=False))
        for (day, system), (theirs, mine) in only.items():
            print(f"  {day}, {system}: first study only {sorted(theirs) or '-'}; Serai only {sorted(mine) or '-'}")
    for day in TRIED:
        assert only[day, "gas"] == (set(), set())
    assert only["winter peak", "power"] == (
        {"Mary (whole plant)", "Dashoguz (whole plant)"},
        {"Mary CC1", "Mary CC2"},
    )
    assert only["summer", "power"] == ({"Mary (whole plant)"}, set())


def test_what_is_cut_off_has_the_size_of_the_first_study(script, country, compared):
    """Power to 0.1 MW. Gas to 0.3 million m3/d where both count the same: nothing refused, no unit without gas.

    The first study keeps the fuel of stations as it was; here a station that moves less burns less (0.2 at Malay CS).
    """
    found = compared[2]
    given = pd.read_csv(script.N1)
    unit = country.gas.standard_density * 1e6 / DAY
    power = gas = 0
    for row in given[given["day"].isin(TRIED)].itertuples():
        ours = found[(found["day"] == row.day) & (found["system"] == row.system)]
        if row.lost_element not in ours.index:
            continue
        mine = ours.loc[row.lost_element]
        if row.unit == "MW unserved":
            assert mine["unserved_power"] / 1e6 == pytest.approx(row.value, abs=0.1), row.lost_element
            power += 1
        cut = (mine["unserved_gas"] + mine["unserved_export"]) / unit
        if row.unit == "mcm/d unserved" and cut > 0.0 and "without gas" not in mine["finding"]:
            assert cut == pytest.approx(row.value, abs=0.3), row.lost_element
            gas += 1
    assert power == 10
    assert gas >= 40


def test_voltages_and_loadings_are_near_those_of_the_first_study(script, compared):
    """0.02 pu and 16 points: additional losses are shared here, and left to the balance unit there."""
    found, given = compared[2], pd.read_csv(script.N1)
    voltages = loadings = 0
    for row in given[given["day"].isin(TRIED) & (given["system"] == "power")].itertuples():
        ours = found[(found["day"] == row.day) & (found["system"] == "power") & (found.index == row.lost_element)]
        text = ours["finding"].iloc[0] if len(ours) else ""
        low = [float(v) for v in re.findall(r"magnitude ([0-9.]+) pu, below", text)]
        if row.finding.startswith("voltage low") and low:
            assert min(low) == pytest.approx(row.value, abs=0.02), row.lost_element
            voltages += 1
        line = row.finding.removeprefix("line over rating: ")
        loading = re.search(rf"{re.escape(line)}: loading ([0-9.]+) %", text)
        if loading:
            assert float(loading[1]) == pytest.approx(row.value, abs=16), row.lost_element
            loadings += 1
    assert voltages >= 9
    assert loadings >= 10


def test_units_without_gas_explain_the_rest(script, country, compared):
    """Where units stop, the first study counts their gas as unserved and Serai lets others run: never more here."""
    found, given = compared[2], pd.read_csv(script.N1)
    unit = country.gas.standard_density * 1e6 / DAY
    seen = 0
    for row in given[given["day"].isin(TRIED) & (given["unit"] == "mcm/d unserved")].itertuples():
        mine = found[(found["day"] == row.day) & (found["system"] == "gas") & (found.index == row.lost_element)]
        if len(mine) and "without gas" in mine["finding"].iloc[0]:
            assert (mine["unserved_gas"].iloc[0] + mine["unserved_export"].iloc[0]) / unit < row.value + 0.1
            seen += 1
    assert seen > 5


# ------------------------------------------------------------------------------------------------ made by rule


def test_instruments_are_what_the_script_makes(script, country):
    file = script.CASE / "instruments.csv"
    made = table_text(script.instruments(country), country.gas.standard_density)
    assert file.read_text(encoding="utf-8") == made


def test_page_says_what_the_case_says(script, country):
    """The share of synthetic rows, and the summer's column of the days, as they stand on the page."""
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.block(text, "quality") == script.quality_table(country)
    column = [line.split(" | ")[-1].removesuffix(" |") for line in script.block(text, "days").splitlines()[2:]]
    made = script._day(country.on("summer"))
    assert column[:-1] == list(made.values())[:-1]  # the last is a mismatch of round-off
    assert float(column[-1]) < 1e-9
    for line in script.block(text, "replays").splitlines()[2:]:
        assert line.rstrip(" |").endswith(("as published", "as expected"))


def test_quality_counts_every_row(country):
    rows = {q.kind: q for q in quality(country)}
    assert list(rows)[-1] == "all"
    for kind, q in rows.items():
        assert q.high + q.medium + q.low + q.computed + q.unsaid == q.rows
        assert q.sourced == q.rows, kind
    assert rows["pipes"].rows == 102
    assert rows["pipes"].in_service == 88
    assert rows["all"].rows == sum(q.rows for k, q in rows.items() if k != "all")
    assert rows["generators"].synthetic == pytest.approx(4 / 45)


def test_words_of_a_case(country, tmp_path):
    about = words(country)
    assert about == words("turkmenistan")
    assert about.startswith("# How Turkmenistan's gas and power system works")
    assert "synthetic" in about
    assert words(country, SOURCES).startswith("# Turkmenistan: where this case comes from")
    assert words("two_pipes") == words(tmp_path) == ""


def test_entries_named_in_about_are_facts():
    facts = pd.read_csv(ROOT / "src" / "serai" / "cases" / "turkmenistan" / "facts.csv")
    named = {e for text in re.findall(r"\[([a-z0-9_ ]+)\](?!\()", words("turkmenistan")) for e in text.split(" to ")}
    assert len(named) >= 10
    assert named <= set(facts["entry"])
