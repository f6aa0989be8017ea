# SPDX-License-Identifier: Apache-2.0
"""Field scenarios as files: what each key means, every mistake with its place, nothing that crashes the reader."""

from __future__ import annotations

import tomllib
from math import inf, isnan

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import serai as sr
from serai.errors import CaseError, SeraiError
from serai.field import Scenario, field_scenarios, read_scenario
from serai.field.scenario_file import _ROWS, _Reader
from serai.known import Known


@pytest.fixture(scope="module")
def country():
    return sr.read("turkmenistan")


def write(folder, text):
    file = folder / "case.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_every_scenario_of_the_country_is_read(country):
    found = {name: read_scenario(name, country) for name in field_scenarios(country)}
    assert {"clean", "leak_2_percent", "forged_stealth", "command_nobody_gave", "silence"} <= found.keys()
    assert not found["clean"].labels()
    assert len({s.seed for s in found.values()}) == len(found)
    kinds = {label.kind for s in found.values() for label in s.labels()}
    wrong = {"leak", "theft", "command", "status", "restart", "link", "forged replay", "forged stealth"}
    assert wrong | {f"meter {f}" for f in ("bias", "drift", "stuck", "noise", "unit", "dead", "invalid")} <= kinds
    leak = found["leak_2_percent"].leaks[0]
    assert (leak.begin, leak.share, leak.fraction) == (13 * 3600.0, 0.02, 0.3)
    assert isnan(leak.rate)
    assert leak.end == inf


def test_values_come_out_in_si(tmp_path, country):
    scenario = read_scenario(
        write(
            tmp_path,
            """
            title = "t"
            seed = 9
            step = "30s"
            [truth]
            efficiency_percent = 2
            [metering]
            dropout_percent = 0.5
            jitter = "0.3s"
            [[theft]]
            at = "02:00"
            where = "Gedaim"
            rate = 1
            unit = "million_m3_per_day"
            [[meter]]
            at = "90min"
            tags = "Malay *PT"
            fault = "bias"
            value = -2
            unit = "bar"
            [[meter]]
            at = "0s"
            tags = "Dauletabad PT"
            fault = "unit"
            sent_in = "barg"
            [[operation]]
            at = "06:30"
            quantity = "outlet_pressure"
            where = "Malay CS"
            value = 88
            unit = "bara"
            """,
        ),
        country,
    )
    assert scenario.thefts[0].rate == pytest.approx(1e6 / 86400 * 0.7094)
    assert scenario.truth.efficiency == 0.02
    assert scenario.metering.dropout == 0.005
    assert scenario.metering.jitter == 0.3
    assert scenario.step == 30.0
    bias, unit = scenario.meter_faults
    assert bias.tags == ("Malay PT",)
    assert (bias.begin, bias.value, bias.factor) == (5400.0, -2e5, 1.0)
    # true 50 bara is 48.98675 barg; the number is sent as it is and read as bara
    assert unit.factor * 50e5 + unit.value == pytest.approx(48.98675e5)
    assert scenario.operations[0].known == Known("outlet_pressure", "Malay CS", 88e5, source="scenario case.toml")


WRONG = """
sead = 3
day = "wintr peak"
hours = -2
step = "7s"
[truth]
cell_km = 0
efficiency_percent = 30
composition = { methane = 0.5, unobtainium = 0.5 }
[metering]
bias = 2
dropout_percent = 100
[[leak]]
at = "01:00"
pipe = "Uchajy - Mallay"
fraction = 1.2
[[theft]]
at = "01:00"
where = "Atlantis"
rate = 1
unit = "furlong"
[[meter]]
at = "25:00"
tags = ["Malay PTT"]
fault = "biased"
[[forged]]
at = "01:00"
tags = "Malay PT"
kind = "replay"
ago = "2h"
[[forged]]
at = "01:00"
until = "00:30"
tags = "Malay PT"
kind = "stealth"
[[operation]]
at = "01:00"
quantity = "ratio"
where = "Gedaim"
value = 1.1
[[operation]]
quantity = "open"
[[restart]]
at = "1h"
lasts = "soon"
station = "Mallay"
[[link]]
at = "01:00"
lasts = "5min"
station = "Malay"
kept = "yes"
[status]
"""


def test_every_mistake_is_named_with_its_place(tmp_path, country):
    with pytest.raises(CaseError) as caught:
        read_scenario(write(tmp_path, WRONG), country)
    said = [str(m) for m in caught.value.mistakes]
    for place, part in (
        ("sead", "did you mean seed"), ("title", "must be given"), ("day", "did you mean winter peak"),
        ("hours", "above 0"), ("step", "divide a minute"), ("truth, cell_km", "0.1"),
        ("truth, efficiency_percent", "0 to 20"), ("truth, composition", "unobtainium"), ("metering, bias", "0 to 1"),
        ("metering, dropout_percent", "below 100"), ("leak 1, pipe", "did you mean Uchajy - Malay"),
        ("leak 1, fraction", "between 0 and 1"), ("leak 1, rate", "give one of"), ("theft 1, where", "Atlantis"),
        ("theft 1, unit", "furlong"), ("meter 1, at", "outside"), ("meter 1, tags", "did you mean Malay PT"),
        ("meter 1, fault", "did you mean bias"), ("forged 1, ago", "not before the start"),
        ("forged 2, until", "after `at`"), ("forged 2, story", "belongs to stealth"),
        ("operation 1, quantity", "gas_nodes have no ratio"), ("operation 2, at", "must be given"),
        ("operation 2, where", "must be given"), ("restart 1, station", "did you mean Malay"),
        ("restart 1, lasts", "is no time"), ("link 1, kept", "true or false"), ("status", "must be tables"),
    ):  # fmt: skip
        assert any(f"case.toml, {place}: " in s and part in s for s in said), (place, part, said)


def test_files_that_are_none_are_named(tmp_path, country):
    with pytest.raises(CaseError, match="is not TOML"):
        read_scenario(write(tmp_path, "a ="), country)
    with pytest.raises(CaseError, match="cannot be read"):
        read_scenario(tmp_path / "nowhere.toml", country)
    with pytest.raises(SeraiError, match="did you mean leak_hole"):
        read_scenario("leak_hold", country)


WORDS = [
    "01:00", "1h", "Malay", "Malay PT", "Uchajy - Malay", "bias", "replay", "stealth", "unit", "mw", "bara", "mpa",
    "ratio", "Malay CS", "Mary load", "active_power", "open", "", "x",
]  # fmt: skip
KEYS = sorted({key for row in _ROWS.values() for key in row})
SCRAPS = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=6,
)
ROWS = {
    key: st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(keys, SCRAPS)), max_size=2)
    for key, keys in _ROWS.items()
}
FILES = st.fixed_dictionaries({}, optional={**ROWS, **dict.fromkeys(("truth", "metering", "hours", "title"), SCRAPS)})
COUNTRY = sr.read("turkmenistan")


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(FILES)
def test_whatever_stands_in_a_file_it_is_read_or_its_mistakes_are_named(given_toml):
    reader = _Reader("any.toml", COUNTRY)
    made = reader.scenario("any", given_toml)
    assert isinstance(made, Scenario)
    assert all(m.text for m in reader.mistakes)
    if "title" not in given_toml:
        assert reader.mistakes


def test_the_scenarios_are_plain_toml(country):
    for file in field_scenarios(country).values():
        assert tomllib.loads(file.read_text(encoding="utf-8"))["title"]
