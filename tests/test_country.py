# SPDX-License-Identifier: Apache-2.0
"""The three days of Turkmenistan: limits, balances, homes that follow the weather, instruments that read."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

import serai as sr
from serai.errors import CaseError, SeraiError, UnknownName
from serai.network import Network, write
from serai.network.instruments import instruments
from serai.simulate.labelled import Result
from serai.simulate.measured import measured
from serai.units import DAY, HOUR, ZERO_CELSIUS

DAYS = ("winter peak", "average 2023", "summer")
PUBLISHED_POWER = 6943.0  # MW, official; SOURCES.md says which plants are taken at which of three sums


@pytest.fixture(scope="module")
def country() -> Network:
    return sr.read("turkmenistan")


@pytest.fixture(scope="module")
def means(country) -> dict[str, Result]:
    return {d: sr.steady(country.on(d)) for d in DAYS}


@pytest.fixture(scope="module")
def days(country) -> dict[str, Result]:
    return {d: sr.transient(country.on(d), hours=24, step="1h", start_hour=country.gas_day_start) for d in DAYS}


def bcm_per_year(net, kg_per_s: float) -> float:
    return kg_per_s / net.gas.standard_density * 365 * DAY / 1e9


def homes(net) -> dict[str, float]:
    t = net["offtakes"]
    mine = set(t.where(t["heat_share"] > 0).names)
    return {k.where: k.value for k in net.knowns() if k.quantity == "withdrawal" and k.where in mine}


# --------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("day", DAYS)
def test_day_keeps_every_limit(means, days, day):
    """Pressures, ratios, station powers, voltages, loadings (hot ratings on the hot day): the mean and 24 hours."""
    for found in (means[day], days[day]):
        assert found.breaks() == []
        data, net = found.dataset, found.network
        assert float(data["ratio"].max()) <= 1.6
        stations = net.active("compressors")
        power = data["power"].sel(compressor=list(stations.names)).max("time") if "time" in data.dims else data["power"]
        assert np.all(np.nan_to_num(power.values) <= stations["power_max"])
        assert float(data["magnitude"].min()) >= 0.94
        assert float(data["magnitude"].max()) <= 1.06
        assert float(data["loading"].max()) <= 1.0


def test_units_at_a_reactive_limit_are_the_findings_of_sources(days):
    """Two buses leave their set voltage for a while, inside 0.94-1.06: nothing else leaves its set-point."""
    wanted = {
        "winter peak": {("Abadan 220", "reactive limit, upper")},
        "average 2023": {("Dashoguz 220", "reactive limit, lower")},
        "summer": set(),
    }
    for day, found in days.items():
        assert {(name, mode) for _, name, mode in found.modes if mode != "set-point"} == wanted[day]


def test_hot_day_is_held_to_hot_ratings(country, means):
    """0.81 x the rating at 25 C: the summer's largest loading is 0.585 / 0.81."""
    cool = sr.steady(country.on("summer").with_tables(lines=country["lines"].replace(rating_factor_hot=np.ones(77))))
    hot, lines = means["summer"].loading, list(country.active("lines").names)
    assert hot.sel(grid_branch=lines).values == pytest.approx(cool.loading.sel(grid_branch=lines).values / 0.81)
    assert float(hot.max()) == pytest.approx(0.722, abs=5e-4)
    t = country["generators"]
    assert list(country.on("summer").limit("generators", "active_power_max")) == list(t["active_power_max_summer"])
    assert list(country.limit("generators", "active_power_max")) == list(t["active_power_max"])


# ------------------------------------------------------------------------------------------------- balances


def test_year_is_the_national_balance(country, means):
    """76.3 bcm produced, 35.3 used, 41.0 exported, 32.6 TWh made; all within 1 %."""
    data = means["average 2023"].dataset
    net = country.on("average 2023")
    abroad = net.active("offtakes")["kind"] == "export"
    produced = bcm_per_year(net, float(data["supplied"].sum()))
    exported = bcm_per_year(net, float(data["delivered"].values[abroad].sum()))
    used = bcm_per_year(net, float(data["delivered"].values[~abroad].sum()))
    used += bcm_per_year(net, float(np.nansum(data["plant_fuel"]) + np.nansum(data["fuel"])))
    assert produced == pytest.approx(76.3, rel=1e-3)
    assert exported == pytest.approx(41.0, rel=1e-3)
    assert used == pytest.approx(35.3, rel=1e-3)
    assert float(data["active_power"].sum()) * 8760 / 1e12 == pytest.approx(32.6, rel=1e-3)


def test_installed_power_is_the_official_figure_or_the_stated_alternative(country):
    """6,957.6 MW here against 6,943 official and 7,087 GEM: 0.2 % above the official sum."""
    installed = float(country.active("generators")["active_power_max"].sum()) / 1e6
    assert installed == pytest.approx(6957.6, abs=0.2)
    assert installed == pytest.approx(PUBLISHED_POWER, rel=0.01)


@pytest.mark.parametrize("day", DAYS)
def test_plants_burn_generation_times_heat_rate_at_every_hour(days, day):
    data, net = days[day].dataset, days[day].network
    t = net.active("plants")
    made = data["active_power"].sel(generator=[str(g) for g in t["generator"]]).values
    heat = data["plant_fuel"].values * net.gas.net_heating_value / net.gas.standard_density
    assert made.shape == (25, 44)
    assert np.abs(heat - t["heat_rate"] * made).max() < 1e-8 * heat.max()


@pytest.mark.parametrize("day", DAYS)
def test_coupled_day_closes_mass_and_energy(days, day):
    """Each to 1e-8: the linepack ledger, and generation = loads + motors + losses at every hour."""
    found = days[day]
    data = found.dataset
    assert found.mismatch < 1e-8
    assert data.attrs["ledger_error"] < 1e-8
    through = float(data["supplied_total"][-1])
    change = float(data["linepack_total"][-1] - data["linepack_total"][0])
    gained = float((data["supplied_total"] - data["delivered_total"] - data["burnt_total"])[-1])
    assert abs(change - gained) < 1e-8 * through
    used = data["drawn"].sum("load") + data["drive_power"].sum("compressor") + data["losses"]
    made = data["active_power"].sum("generator")
    assert float(np.abs(made - used).max()) < 1e-8 * float(made.max())
    assert float(data["time"][-1]) == 24 * HOUR


def test_motors_draw_reactive_power(country, means):
    """2.6 Mvar of 7.9 MW at Samandepe on the winter peak: with it, not without, the bus has the expected voltage."""
    drives = country["drives"]
    assert drives["power_factor"][drives.row("Samandepe CS drive")] == 0.9496
    without = sr.steady(country.with_tables(drives=drives.replace(power_factor=np.full(18, np.nan))))
    here = "Samandepe 220"
    fallen = float(without.magnitude[here] - means["winter peak"].magnitude[here])
    assert fallen == pytest.approx(7e-4, abs=1e-4)


# ---------------------------------------------------------------------------------------------- the weather


def test_homes_follow_the_outdoor_temperature(country):
    heat = country.heat_demand
    assert heat.factor(-9.5 + ZERO_CELSIUS, 0.4) == pytest.approx(2.75, abs=0.005)
    assert heat.factor(18.0 + ZERO_CELSIUS, 0.4) == heat.factor(40.0 + ZERO_CELSIUS, 0.4) == pytest.approx(0.60)
    factors = [heat.factor(t + ZERO_CELSIUS, 0.4) for t in range(-30, 30)]
    assert all(a >= b for a, b in pairwise(factors))


@pytest.mark.parametrize(("day", "celsius"), [("winter peak", -9.5), ("average 2023", 12.88), ("summer", 40.0)])
def test_days_are_those_of_their_temperature(country, day, celsius):
    net = country.on(day)
    assert net.days[day].air_temperature == pytest.approx(celsius + ZERO_CELSIUS)
    before, after = homes(net), homes(net.at_temperature(celsius))
    assert len(before) == 24
    assert all(after[n] == pytest.approx(v, rel=2e-3) for n, v in before.items())
    others = {(k.quantity, k.where): k.value for k in net.knowns() if k.where not in before}
    assert others == {
        (k.quantity, k.where): k.value for k in net.at_temperature(celsius).knowns() if k.where not in before
    }


def test_colder_day_lowers_pressures_and_is_solved(country):
    """Five degrees colder than the peak: Ashgabat's gate loses pressure; the change is written into the set-points."""
    cold = country.at_temperature(-14.5)
    a, b = sr.steady(country), sr.steady(cold)
    assert float(b.pressure["Baharly Gate"]) < float(a.pressure["Baharly Gate"])
    assert float(b.supplied["Galkynysh field"]) > float(a.supplied["Galkynysh field"])
    assert sum(s == "heat demand at -14.5 degrees Celsius" for s in cold["setpoints"]["source"]) == 24


def test_a_case_without_heat_demand_says_so():
    with pytest.raises(SeraiError, match=r"two_pipes does not say .* \[heat_demand\]"):
        sr.read("two_pipes").at_temperature(0.0)


def test_heat_demand_in_a_case_folder(country, tmp_path):
    write(country, tmp_path / "again")
    again = sr.read(tmp_path / "again")
    assert again.heat_demand == country.heat_demand
    assert again.gas_day_start == country.gas_day_start == 10.0
    assert [d.hot for d in again.days.values()] == [False, False, True]
    file = tmp_path / "again" / "case.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("degree_days_per_year = 1870", "").replace("hot = true", 'hot = "yes"'), encoding="utf-8"
    )
    with pytest.raises(CaseError, match="degree_days_per_year: must be given") as caught:
        sr.read(tmp_path / "again")
    assert "must be true or false" in str(caught.value)


# ---------------------------------------------------------------------------------------------- instruments


def test_instruments_read_on_every_day(country, means, capsys):
    """Every instrument has a value inside its span, and an accuracy; the counts are printed."""
    mine = instruments(country)
    for day in DAYS:
        for i in mine:
            value = float(measured(means[day], i.quantity, i.where))
            assert i.low <= value + 1e-9, (day, i.tag, value)
            assert value <= i.high, (day, i.tag, value)
            assert i.sigma_at(value) > 0.0
    with capsys.disabled():
        print(f"\n{len(mine)} instruments at {len({i.station for i in mine})} stations, turkmenistan:")
        for quantity, n in Counter(i.quantity for i in mine).most_common():
            print(f"  {quantity:20} {n:4}")
        print("  by", ", ".join(f"{p} {n}" for p, n in Counter(i.protocol for i in mine).most_common()))
    stations = {p: {i.station for i in mine if i.protocol == p} for p in ("opcua", "modbus", "mqtt")}
    assert all(len(s) == 2 for s in stations.values())
    assert len({(i.protocol, i.address) for i in mine}) == len(mine)


def test_instruments_cover_what_matters(country):
    have = {(i.quantity, i.where) for i in instruments(country)}
    t = country.active("offtakes")
    for name, kind in zip(t.names, t["kind"], strict=True):
        assert (("withdrawal", name) in have) == (kind != "loss"), name
    assert all(("supply", n) in have for n in country.active("supplies").names)
    assert all(("magnitude", b) in have for b in country.active("buses").names)
    for n in (*country.active("lines").names, *country.active("transformers").names):
        assert {(f"{p}_power_{e}", n) for p in ("active", "reactive") for e in ("from", "to")} <= have


def test_scan_and_class_of_some_instruments(country):
    by_tag = {i.tag: i for i in instruments(country)}
    china = by_tag["China (Gedaim) export FT"]
    flow = 33.0 / 365 * 1e9 * country.gas.standard_density / DAY  # mean of 2023
    assert (china.scan, china.share) == (60.0, 0.0025)
    assert china.sigma_at(flow) / flow == pytest.approx(0.0025, rel=0.01)
    assert by_tag["Gedaim PT"].sigma == pytest.approx(0.05e5)
    assert (by_tag["Mary 500 UT"].scan, by_tag["Mary 220 UT"].scan) == (2.0, 4.0)


def test_mistakes_in_instruments_are_all_named(country, tmp_path):
    write(country, tmp_path / "wrong")
    file = tmp_path / "wrong" / "instruments.csv"
    head, *rows = file.read_text(encoding="utf-8").splitlines()
    columns = head.split(",")

    def changed(row: str, **cells: str) -> str:
        values = row.split(",")
        for c, v in cells.items():
            values[columns.index(c)] = v
        return ",".join(values)

    wrong = [
        changed(rows[0], where="Galkynish"),
        changed(rows[1], quantity="presure"),
        changed(rows[2], quantity="magnitude", unit="pu"),
        changed(rows[3], unit="mw"),
        changed(rows[4], sigma="0", sigma_of_reading_percent="0"),
        changed(rows[5], sigma="-1"),
        changed(rows[6], range_min="200"),
        changed(rows[7], scan_s="0"),
        changed(rows[8], protocol="dnp3"),
    ]
    file.write_text("\n".join([head, *wrong, *rows[9:]]) + "\n", encoding="utf-8")
    with pytest.raises(CaseError) as caught:
        sr.read(tmp_path / "wrong")
    text = str(caught.value)
    assert len(caught.value.mistakes) == len(wrong)
    for row, words in (
        (2, "no element 'Galkynish'"),
        (3, "cannot measure 'presure'; did you mean pressure?"),
        (4, "gas_nodes have no magnitude to measure; they have pressure"),
        (5, "must be a unit of pressure"),
        (6, "no instrument is exact"),
        (7, "must be a number and at least 0, got -1"),
        (8, "must be below range_max (100), got 200"),
        (9, "must be above 0"),
        (10, "must be one of iec104, opcua, modbus, mqtt"),
    ):
        assert f"instruments.csv row {row}, " in text
        assert words in text, words


def test_sigma_has_no_zero_offset(tmp_path):
    """A sigma of 0.1 barg is 0.1 bar, of 0.5 degc 0.5 K; both survive the folder."""
    net = sr.read("two_pipes")
    write(net, tmp_path / "case")
    (tmp_path / "case" / "instruments.csv").write_text(
        "name,quantity,where,unit,sigma,range_max,scan_s\n"
        "PT,pressure,Town A,barg,0.1,80,60\nTT,temperature,Town A,degc,0.5,60,60\n"
    )
    a, b = instruments(sr.read(tmp_path / "case"))
    assert (a.sigma, b.sigma) == (pytest.approx(0.1e5), 0.5)
    assert a.high == pytest.approx(81.01325e5)
    write(sr.read(tmp_path / "case"), tmp_path / "again")
    assert instruments(sr.read(tmp_path / "again"))[0].sigma == a.sigma


def test_what_cannot_be_measured_is_named(means):
    found = means["summer"]
    with pytest.raises(UnknownName, match="pipes have no 'pressure' to measure"):
        measured(found, "pressure", "Galkynysh - Mary Junction")
    with pytest.raises(UnknownName, match="holds no temperature"):
        measured(found, "temperature", "Gedaim")
    assert np.isnan(measured(found, "pressure", "Beyneu"))
