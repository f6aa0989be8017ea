# SPDX-License-Identifier: Apache-2.0
"""The Grafana board of docs/grafana: its SQL runs on a history in PostgreSQL, its lines are those of the network."""

from __future__ import annotations

import re

import adbc_driver_postgresql.dbapi as postgresql
import numpy as np
import pytest

import serai as sr
from room.grafana_board import FOLDER, board, expanded, lines, panels, variables
from serai.telemetry import historian
from serai.telemetry.readings import MICROSECONDS, Quality, Readings, Register
from telemetry.historian.local_postgres import LocalPostgres

START, HOURS = 1_795_356_000.0, 6  # on a full ten minutes
LINE = "Abadan Head Regulator / Gokdepe Regulator"
DEAD = "Kaka city FT"
HEAD, LOST = "Abadan Head Regulator FT", 5.0  # kg/s more go in during the last hour, and do not come out


@pytest.fixture(scope="module")
def country():
    return sr.read("turkmenistan")


@pytest.fixture(scope="module")
def value(country):
    """What every meter reads until the last hour, SI: whole numbers, so that sums are exact."""
    return {tag: float(k % 7 + 1) for k, tag in enumerate(country["instruments"].names)}


@pytest.fixture(scope="module")
def ask(value):
    """A history of six hours of every gas meter, and what asks it as a panel does."""
    server = LocalPostgres()
    store = historian.open(server.url)
    register = Register()
    meters = [t for t in value if re.search(r" (PT|FT)( in| out| fuel)?$", t)]
    numbers, usual = register.numbers(meters), np.array([value[t] for t in meters])
    for hour in range(HOURS):
        minute = np.arange(60 * hour, 60 * (hour + 1))
        values = np.tile(usual, (60, 1))
        wave = 0.5 * (-1.0) ** (minute // 10)  # a spread, in turn above and below
        values[:, meters.index(HEAD)] += wave + LOST * (hour == HOURS - 1)
        time = np.repeat(np.int64(START * MICROSECONDS) + 60 * MICROSECONDS * minute, len(meters))
        good = np.zeros(values.size, np.uint16)
        batch = Readings(register, np.tile(numbers, 60), time, values.ravel(), good, time)
        store.append(f"hour {hour}", batch, "field")
    dead = [(DEAD, START + 60.0 * m, 1.0, int(Quality.INVALID), START + 60.0 * m) for m in range(50, 60)]
    store.append("dead", Readings.of(register, dead), "field")  # a meter that is invalid for ten minutes
    wrong = Readings.of(register, [(HEAD, START + 30.0, 1e9, int(Quality.INVALID), START + 30.0)])
    store.append("invalid", wrong, "field")  # an invalid reading counts nowhere
    amended = Readings.of(register, [("Tejen Gate PT", START, 42e5, 0, START + 9.0)])
    store.append("correction", amended, "field")  # the later version of the same reading holds
    with postgresql.connect(server.url) as connection:

        def asked(sql):
            with connection.cursor() as cursor:
                cursor.execute(sql)
                table = cursor.fetch_arrow_table()
            return table.to_pylist()

        def run(sql):
            with connection.cursor() as cursor:
                cursor.execute(sql)
            connection.commit()

        for statement in (FOLDER / "lines.sql").read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                run(statement)
        yield asked
    store.close()
    server.stop()


@pytest.fixture
def shown(ask):
    def shown(title, start=START, end=START + 3600.0 * HOURS - 1.0, **chosen):
        given = {"line": [LINE], "gauge": ["Tejen Gate PT", "Akhal PS PT"], "meter": [HEAD]} | chosen
        return ask(expanded(panels()[title], start, end, given))

    return shown


def test_lines_are_those_that_the_tables_of_the_case_say(country):
    found, pipes = lines(country)
    text = (FOLDER / "lines.sql").read_text(encoding="utf-8")
    given = re.findall(r"\('((?:[^']|'')+)', '((?:[^']|'')+)', (-?1)\)", text)
    assert [(a, b, int(s)) for a, b, s in given] == found
    assert "Abadan Line Head - Tejen Gate" in pipes[LINE]
    twice = {tag for _, tag, _ in found if sum(t == tag for _, t, _ in found) == 2}
    assert twice  # what leaves a line at a station enters the next one
    assert all(sum(s for _, t, s in found if t == tag) == 0 for tag in twice)


def test_variables_list_what_there_is_to_choose(ask, value):
    listed = {name: [row[next(iter(row))] for row in ask(sql)] for name, sql in variables().items()}
    assert LINE in listed["line"]
    assert "Tejen Gate PT" in listed["gauge"]
    assert "Abadan Head Regulator PT out" in listed["gauge"]
    assert HEAD in listed["meter"]
    assert "Malay CS FT fuel" in listed["meter"]
    assert set(listed["gauge"]) | set(listed["meter"]) <= set(value)
    preset = {v["name"]: v["current"]["value"] for v in board()["templating"]["list"] if "current" in v}
    for name, chosen in preset.items():
        assert {chosen} if isinstance(chosen, str) else set(chosen) <= set(listed[name])


def test_pressures_come_in_bar_with_the_newest_version_of_each_reading(shown, value):
    rows = shown("Pressures")
    assert {r["metric"] for r in rows} == {"Tejen Gate PT", "Akhal PS PT"}
    mine = [r["value"] for r in rows if r["metric"] == "Tejen Gate PT"]
    assert len(mine) == 60 * HOURS
    assert mine[0] == 42.0
    np.testing.assert_allclose(mine[1:], value["Tejen Gate PT"] / 1e5, rtol=1e-12)


def test_flows_are_means_of_five_minutes_without_what_is_invalid(shown, value):
    rows = shown("Flows")
    assert [float(r["time"]) for r in rows] == [START + 300.0 * k for k in range(12 * HOURS)]
    assert rows[0]["value"] == value[HEAD] + 0.5


def test_the_balance_is_what_goes_in_less_what_comes_out(shown, value, country):
    """Ten minutes without one of the meters give no balance: a sum over fewer meters would be another sum."""
    rows = shown("Balance of the line")
    usual = sum(s * value[t] for line, t, s in lines(country)[0] if line == LINE)
    block = np.array([k for k in range(6 * HOURS) if k != 5])  # in which a meter is dead
    np.testing.assert_array_equal([float(r["time"]) for r in rows], START + 600.0 * block)
    wanted = usual + 0.5 * (-1.0) ** block + LOST * (block >= 30)
    np.testing.assert_allclose([r["in less out, kg/s"] for r in rows], wanted, atol=1e-9)


def test_the_table_of_all_lines_and_that_of_all_tags_put_the_change_first(shown, country):
    every = shown("Balances of all lines")
    assert {r["line"] for r in every} == {line for line, _, _ in lines(country)[0]}
    changed = [r["line"] for r in every if r["change in spreads"] is not None and abs(r["change"]) > 1.0]
    assert len(changed) == 2  # the head's meter stands between two lines: it alone cannot say on which side it leaks
    assert set(changed) == {line for line, tag, _ in lines(country)[0] if tag == HEAD}
    assert {every[0]["line"], every[1]["line"]} == set(changed)
    change = {r["line"]: r["change"] for r in every[:2]}
    unpaired = 0.5 / 29  # of the wave, where a dead meter leaves one of thirty blocks out
    assert change.pop(LINE) == pytest.approx(LOST - unpaired, abs=1e-9)
    assert list(change.values()) == [pytest.approx(-LOST, abs=1e-9)]
    most = shown("Changed most")
    assert most[0]["tag"] == HEAD
    assert most[0]["last_hour"] - most[0]["before"] == pytest.approx(LOST, abs=1e-9)


def test_the_board_asks_one_source_that_the_reader_chooses():
    made = board()
    sources = [p["datasource"] for p in made["panels"]] + [
        t["datasource"] for p in made["panels"] for t in p["targets"]
    ]
    assert {(s["type"], s["uid"]) for s in sources} == {("grafana-postgresql-datasource", "${source}")}
    assert len({p["id"] for p in made["panels"]}) == len(made["panels"])
    chosen = re.findall(r"\$\{(\w+)", " ".join(panels().values()))
    assert set(chosen) <= {v["name"] for v in made["templating"]["list"]}
