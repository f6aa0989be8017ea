# SPDX-License-Identifier: Apache-2.0
"""Planning tables: the bundled case reads, and every mistake is named with its row and column."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from plan.tiny_plans import SETTINGS, corridor, market, plan_case
from serai.errors import CaseError
from serai.network import bundled
from serai.plan.case import read_planning
from serai.plan.scenarios import draw, stop_rates

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path) -> Path:
    shutil.copytree(bundled()["turkmenistan"] / "planning", tmp_path / "planning")
    return tmp_path


def change(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / "planning" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_bundled_case_is_as_large_as_the_task():
    case = read_planning("turkmenistan")
    assert len(case.corridors) >= 8
    assert sum(c.option == "open" for c in case.contracts) + len(case.projects) * 5 >= 50
    assert case.settings.years == 15
    assert len(case.settings.seasons) == 4
    rows = [*case.corridors, *case.projects, *case.markets, *case.contracts, *case.outages_history]
    assert all(row.source for row in rows)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("corridors.csv", "stan,40,", "stan,-40,", "row 2, capacity_bcm_per_year: must be at least 0"),
        ("corridors.csv", "China A-C,East", "China A-C,Eastt", "no hub 'Eastt'; did you mean East?"),
        ("markets.csv", "China,275,", "China,,", "row 2, price_usd_per_1000m3: must be given"),
        ("markets.csv", "price_usd", "price_eur", "currency does not fit: use price_usd_per_1000m3"),
        ("projects.csv", "Line D,China D", "Line D,Chinia D", "row 2, adds_to: there is no corridor, link or field"),
        ("projects.csv", "lead_years", "lead_yards", "row 1, lead_yards: the unit or currency does not fit"),
        ("contracts.csv", "signed,2009,2039", "signed,2039,2009", "row 2, end: must not be before its start 2039"),
        ("contracts.csv", "CNPC,China,China A-C,signed", "CNPC,China,China A-C,sined", "must be signed or open"),
        ("corridors.csv", "Kazakhstan,West", "Kazakhstan X,West", "leads nowhere"),
        ("outages_history.csv", "political,100", "political,170", "must be at least 0 and at most 100"),
        ("plan.toml", "discount = 0.08", "discunt = 0.08", "discunt: no such setting"),
        ("plan.toml", "discount = 0.08", "discount = -1.0", "discount: must be at least 0"),
        ("plan.toml", "years = 15", "years = 15.5", "years: must be a whole number"),
        ("plan.toml", "days = 90", "days = 0", "winter: days must be above 0"),
        ("outages_history.csv", "2006-01,2006-01", "2006-13,2006-01", "start: must be a month as 2009-04"),
        ("outages_history.csv", "2006-01,2006-01", "2006-02,2006-01", "end: must not be before its start 2006-02"),
        ("contracts.csv", "QazaqGaz,Kazakhstan,Kazakhstan", "QazaqGaz,Kazakhstan,Russia", "does not lead to market"),
        ("projects.csv", "3,,2027,2034", "3,Galkynysh phase 3,2027,2034", "would have to wait for itself"),
        ("projects.csv", "2028,2037,25 bcm/y", "2038,2037,25 bcm/y", "latest: must not be before its earliest 2038"),
        ("fields.csv", "Galkynysh,East,42", "Galkynysh,East,inf", "capacity_bcm_per_year: must be a number"),
        ("works.csv", "Line D,gas_nodes", "Line E,gas_nodes", "there is no project 'Line E'"),
        ("markets.csv", "China,275,", "China,1e12,", "price_usd_per_1000m3: must be at least 0 and at most 100,000"),
        ("markets.csv", "China,275,", "China,inf,", "row 2, price_usd_per_1000m3: must be a number"),
        ("fields.csv", "Galkynysh,East,42", "Galkynysh,East,42e9", "at most 10,000, got '42e9'"),
        ("contracts.csv", "quantity_bcm_per_year", "quantity_tcf_per_year", "row 1, quantity_tcf_per_year: the unit"),
        ("projects.csv", "capex_million_usd", "capex_million_eur", "capex_million_eur: the unit or currency does not"),
        ("projects.csv", "25,6700", "25,", "row 2, capex_million_usd: must be given"),
        ("projects.csv", "25,6700", "-25,6700", "row 2, capacity_bcm_per_year: must be at least 0"),
        ("works.csv", "power_mw", "power_kw", "power_kw: the unit or currency does not fit: use power_mw"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_where_it_stands(folder, file, old, new, said):
    change(folder, file, old, new)
    with pytest.raises(CaseError) as caught:
        read_planning(folder)
    assert file in str(caught.value)
    assert said in str(caught.value)


def test_all_mistakes_come_at_once(folder):
    change(folder, "corridors.csv", "China A-C,East", "China A-C,Eastt")
    change(folder, "markets.csv", "China,275,", "China,dear,")
    with pytest.raises(CaseError) as caught:
        read_planning(folder)
    assert {m.file for m in caught.value.mistakes} >= {"corridors.csv", "markets.csv"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("markets.csv", "China,275,", "China,,"),
        ("corridors.csv", "stan,40,", "stan,-40,"),
        ("projects.csv", "25,6700", "25,-6700"),
        ("fields.csv", "Galkynysh,East,42", "Galkynysh,East,-42"),
        ("markets.csv", "South Asia,315", "South Asia,-315"),  # the one market of its corridor
    ],
)
def test_what_hangs_on_a_row_with_a_mistake_is_no_second_mistake(folder, file, old, new):
    change(folder, file, old, new)
    with pytest.raises(CaseError) as caught:
        read_planning(folder)
    assert [m.file for m in caught.value.mistakes] == [file]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (
            {"corridors": (corridor("A", -8.0), corridor("B", 10.0))},
            r"corridors\.csv row 2, capacity: must be at least 0",
        ),
        ({"markets": (market("Alpha", float("nan"), ("A",)), market("Beta", 60.0, ("B",)))}, r"row 2, price: must be"),
        ({"markets": (market("Alpha", 1e9, ("A", "B")),)}, r"row 2, price: must be at least 0 and at most 100,000"),
        ({"markets": (market("Alpha", 100.0, ("A",)),)}, r"corridors\.csv row 3, name: 'B' leads nowhere"),
        ({"settings": replace(SETTINGS, discount=-0.5)}, r"plan\.toml, discount: must be at least 0"),
    ],
)
def test_a_case_made_in_a_program_is_checked_as_one_that_is_read(tables, said):
    with pytest.raises(CaseError, match=said):
        plan_case(**tables)


def test_a_hub_that_no_gas_reaches_is_named(folder):
    change(folder, "links.csv", "East,North", "East,East")
    with pytest.raises(
        CaseError, match=r"corridors\.csv row 4, hub: no field feeds hub 'North' and no link leads to it"
    ):
        read_planning(folder)


def test_units_in_headers_are_read(folder):
    text = (folder / "planning" / "markets.csv").read_text(encoding="utf-8")
    rows = [line.split(",", 2) for line in text.splitlines()]
    per_mmbtu = [f"{r[0]},{float(r[1]) / 35.7!r},{r[2]}" for r in rows[1:]]
    header = ",".join(rows[0]).replace("usd_per_1000m3", "usd_per_mmbtu")
    (folder / "planning" / "markets.csv").write_text("\n".join([header, *per_mmbtu]), encoding="utf-8")
    same, case = read_planning("turkmenistan"), read_planning(folder)
    assert [m.price for m in case.markets] == pytest.approx([m.price for m in same.markets], rel=1e-12)


def test_futures_have_the_moments_that_the_tables_say():
    """Mean prices as given, stops as often as their rates, the same futures from the same seed."""
    case = read_planning("turkmenistan")
    futures = draw(case, 4000, seed=2)
    for m, price in zip(case.markets, futures.price, strict=True):
        assert price.mean() == pytest.approx(m.price, rel=0.03)
    rates = dict(zip([c.name for c in case.corridors], stop_rates(case), strict=True))
    assert rates["Iran Sarahs"] > rates["Kazakhstan"]
    assert (futures.available >= 0.0).all()
    assert (futures.available <= 1.0).all()
    again = draw(case, 4000, seed=2)
    np.testing.assert_array_equal(again.price, futures.price)
    np.testing.assert_array_equal(again.available, futures.available)
    homes = futures.home.sum(axis=(0, 3)).mean(axis=0)
    assert homes[0] == pytest.approx(sum(h.demand * (1 + h.growth) for h in case.home), rel=0.01)


def test_prices_move_as_the_published_series_did(data):
    """Own movement of oil: standard deviation of yearly log changes of Brent, 1990-2024 (World Bank Pink Sheet)."""
    import pandas as pd

    table = pd.read_csv(data / "market" / "worldbank_pinksheet_energy_monthly.csv")
    brent = table.set_index(table["month"].str[:4].astype(int))["Crude oil, Brent ($/bbl)"].groupby(level=0).mean()
    moves = np.log(brent.loc[1990:2024]).diff().std()
    assert read_planning("turkmenistan").settings.oil_volatility == pytest.approx(float(moves), abs=0.03)
