# SPDX-License-Identifier: Apache-2.0
"""The report: self-contained, balanced, true to the dataset, and drawn for every kind of case."""

from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from re import findall, sub

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from serai.network import read, table
from serai.network.quality import quality, words
from serai.report import about, key_figures, write_report
from serai.report.about import named_facts
from serai.report.charts import spread, tick_texts, ticks
from serai.report.labels import Wish, arrange
from serai.report.map import ORDER, Sheet, draw_map
from serai.report.outlines import outlines as country_outlines
from serai.report.page import page
from serai.report.place import places
from serai.report.profile import corridors
from serai.report.shown import Shown
from serai.report.svg import Box, text_width
from serai.report.words import MINUS, number
from serai.simulate import outages, steady, transient
from serai.simulate.outages import ranked, tally

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Balance(HTMLParser):
    """Every tag is closed by itself or by its partner, in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.outside: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.note(tag, attrs)

    def handle_startendtag(self, tag, attrs):
        self.note(tag, attrs)

    def note(self, tag, attrs):
        assert tag != "script"
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in {"src", "href", "xlink:href", "srcset", "poster", "data"}:
                self.outside.append((tag, value))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        self.text.append(data)


def checked(html: str) -> str:
    """Check the form of a page; return its text."""
    parser = Balance()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert parser.outside == []
    assert len(parser.ids) == len(set(parser.ids))
    assert "@import" not in html
    assert not findall(r"url\((?!#)", html)
    assert ">nan" not in html
    assert "inf<" not in html
    return sub(r"\s+", " ", " ".join(parser.text))


@pytest.fixture(scope="module")
def day():
    return transient(read("turkmenistan"), hours=6, step="30min")


def test_numbers_of_the_day_come_from_the_dataset(day, tmp_path):
    path = write_report(day, tmp_path / "deep" / "report.html")
    text = checked(path.read_text(encoding="utf-8"))
    density = day.network.gas.standard_density
    stored = day.dataset["linepack_total"].values / density / 1e6
    assert f"Linepack at the start {number(stored[0])}" in text
    assert f"Linepack at the end {MINUS if stored[-1] < stored[0] else '+'}" in text
    assert number(stored.min()) in text
    china = (
        float(day.dataset["delivered"].sel(offtake="China (Gedaim) export").values[1:].mean()) / density * 86400 / 1e6
    )
    assert f"Export: China (Gedaim) – {number(china * 0.25, 3)}" in text
    losses = float(day.dataset["losses"].values[1:].mean()) / 1e6
    assert number(losses) in text
    assert "Map of" in path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_both_balances_close(day):
    text = checked(page(Shown(day)))
    assert "Difference of the two totals 0.000000 million m³" in text
    assert "Difference of the two totals 0.000000 GWh" in text


def test_key_figures_have_units(day):
    rows = key_figures(day)
    assert len(rows) > 10
    assert all(unit for _, _, _, unit in rows)
    assert not any("-" in value for _, _, value, _ in rows)


def test_outages_are_ranked_and_counted(day):
    lost = outages(day.network, elements=["Dauletabad field", "Mary ST1", "Kiyanly - Garabogaz Gate"])
    text = checked(page(Shown(day), lost))
    assert "3 single losses examined" in text


def losses(*rows):
    """Return a dataset of losses: name, status, home gas, export [kg/s], power [W], breaks, finding."""
    names, status, home, export, power, breaks, finding = zip(*rows, strict=True)
    data = {
        "kind": ["pipes"] * len(rows), "status": list(status), "unserved_gas": list(home),
        "unserved_export": list(export), "unserved_power": list(power), "breaks": list(breaks),
        "finding": list(finding),
    }  # fmt: skip
    return ranked(xr.Dataset({k: ("outage", v) for k, v in data.items()}, coords={"outage": list(names)}))


def test_refusal_and_no_answer_have_their_own_words(day):
    lost = losses(
        ("Quiet", "solved", 0.0, 0.0, 0.0, 0, ""),
        ("Abroad", "solved", 0.0, 100.0, 0.0, 0, "export short"),
        ("At home", "solved", 100.0, 0.0, 2e6, 3, "home use short of 1.0 million m3/d"),
        ("Refused", "refused by physics", 0.0, 0.0, 0.0, 0, "the demand cannot flow at <X>. Take less"),
        ("Unknown", "no answer", 0.0, 0.0, 0.0, 0, "no answer found: the mismatch stopped falling"),
    )
    assert list(lost["outage"].values) == ["Unknown", "Refused", "At home", "Abroad", "Quiet"]
    assert tally(lost) == {"with consequence": 2, "without consequence": 1, "refused by physics": 1, "no answer": 1}
    html = page(Shown(day), lost)
    text = checked(html)
    assert "5 single losses examined" in text
    assert "2 with consequence, 1 without consequence, 1 refused by physics, 1 no answer." in text
    assert "Refused by physics. The demand cannot flow at <X>" in text
    assert "Take less" not in text
    assert "No answer. The mismatch stopped falling" in text
    assert ">Quiet<" not in html
    found = number(100.0 / day.network.gas.standard_density * 86400 / 1e6, 2)
    assert f"At home pipe {found} 0 2.0 3 Home use short of 1.0 million m³/d" in text
    assert f"Abroad pipe 0 {found} 0 0 Export short" in text


def test_no_outage_examined_is_said(day):
    assert "no single loss examined" in checked(page(Shown(day), outages(day.network, elements=[])))


def test_the_country_is_explained_with_facts_and_their_sources(day):
    html = page(Shown(day))
    text = checked(html)
    assert "How this system works" in text
    assert "Where the gas comes from" in text
    assert '<span class="fact">[galkynysh]</span>' in html
    assert "SOURCES.md says which rows those are" in text
    rows = named_facts(words(day.network), words(day.network, "facts.csv"))
    assert [r["entry"] for r in rows][:2] == ["annual_balance 2023", "galkynysh"]
    assert all(r["source"] and r["confidence"] for r in rows)
    marks = set(findall(r'class="fact">\[([^\]]+)', html))
    assert marks - {r["entry"] for r in rows} == {"ring1 to ring5"}


def test_data_quality_counts_every_row_and_prints_the_synthetic_share(day):
    html = page(Shown(day))
    text = checked(html)
    *kinds, whole = quality(day.network)
    share = f"{whole.low:,} of {whole.rows:,} rows ({number(100 * whole.synthetic, 0)} %) are synthetic or inferred."
    assert share in text
    assert "Where sources clash, SOURCES.md of the case says" in text
    assert html.count('<td class="bar">') == len(kinds) + 1
    assert html.count("<h2>How sure the data are</h2>") == 1
    pipes = next(q for q in kinds if q.kind == "pipes")
    counts = f"{pipes.rows} {pipes.in_service} {pipes.high} {pipes.medium} {pipes.low}"
    assert f"Pipes {counts} {number(100 * pipes.synthetic)}" in text


def test_a_text_of_a_case_cannot_lead_out_or_run():
    text = (
        "# T\n\n<script>x</script> <b>y</b> [a](http://a.b) ![p](http://c.d/e.png) <http://f.g> `<i>` **b** -3 m3 [<u>]"
    )
    html = about.html(text)
    checked(html)
    assert "<script" not in html
    assert "<b>" not in html
    assert "<u>" not in html
    assert "<strong>b</strong>" in html
    assert f"{MINUS}3 m³" in html
    assert about.html("") == ""


def test_a_case_without_words_or_confidence_still_reports():
    net = read("loop_with_station")
    bare = {
        kind: t.replace(confidence=np.full(len(t), "")) if "confidence" in t.columns else t
        for kind, t in net.tables.items()
    }
    text = checked(page(Shown(steady(replace(net, tables=bare, _kinds={})))))
    assert "How this system works" not in text
    assert "0 of" in text
    assert "No row of the case is marked as synthetic" in text


@pytest.mark.parametrize("case", ["two_pipes", "loop_with_station", "four_buses"])
def test_steady_cases(case):
    result = steady(read(case))
    text = checked(page(Shown(result)))
    assert "steady state" in text
    assert "Linepack at the start" not in text


def test_gas_only():
    result = steady(read("loop_with_station"))
    text = checked(page(Shown(result)))
    assert "Compressor stations" in text
    assert "Electricity" not in text


def test_power_only_without_coordinates():
    net = read("four_buses")
    buses = net["buses"]
    n = len(buses)
    kinds = ("buses", "lines", "loads", "generators")
    t = net["setpoints"]
    keep = np.array([any(str(w) in net[k] for k in kinds) for w in t["where"]])
    tables = {k: net[k] for k in kinds} | {"setpoints": t.where(keep)}
    tables["buses"] = buses.replace(x=np.full(n, np.nan), y=np.full(n, np.nan))
    result = steady(replace(net, tables=tables, _kinds={}))
    shown = Shown(result)
    assert places(shown.network).how == "drawn"
    text = checked(page(shown))
    assert "drawn from the connections" in text
    assert "Linepack" not in text


def test_names_are_escaped(day):
    evil = replace(day.network, title='<script>alert("x")</script> & Co')
    html = page(Shown(replace(day, network=evil)))
    checked(html)
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_broken_limit_is_coloured_and_marked():
    net = read("two_pipes")
    nodes = net["gas_nodes"]
    low = np.where([n == "Town B" for n in nodes.names], 55e5, nodes["pressure_min"])
    result = steady(net.with_tables(gas_nodes=nodes.replace(pressure_min=low)))
    text = checked(html := page(Shown(result)))
    assert "1 limit broken." in text
    assert 'class="broken"' in html
    assert 'class="bad"' in html


def test_nothing_is_written_when_the_page_fails(day, tmp_path):
    with pytest.raises(AttributeError):
        write_report(replace(day, network=None), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("width", [920.0, 396.0])
def test_map_labels_do_not_overlap(day, width, monkeypatch):
    placed = []

    def spy(*args):
        placed.extend(arrange(*args))
        return placed

    monkeypatch.setattr("serai.report.map.arrange", spy)
    svg, used = draw_map(Shown(day), width)
    assert {"flow", "stitched", "planned", "out of service", "double", "single", "ring", "hexagon"} <= used
    assert len(placed) > 12
    for k, label in enumerate(placed):
        assert label.box.inside(Box(0, 0, width, 2000))
        assert all(label.box.overlap(other.box) == 0.0 for other in placed[:k]), label.wish.lines
    names = {label.wish.lines[0] for label in placed}
    assert {"Gedaim", "Galkynysh", "Deryalyk"} <= names
    assert ORDER[-3:] == ("labels", "numbers", "frame")  # nothing is drawn over words
    assert all(float(size) >= 11.0 for size in findall(r'font-size="([0-9.]+)"', svg))


def test_everything_drawn_is_at_least_eleven_pixels_high(day):
    html = page(Shown(day))
    assert min(float(s) for s in findall(r"font-size[=:]\"?([0-9.]+)", html)) >= 11.0


def test_map_puts_the_east_to_the_right_and_the_north_up(day):
    sheet = Sheet(Shown(day), places(day.network), 920.0)
    (west, _), (east, _) = sheet.at("Turkmenbashi Gate"), sheet.at("Gedaim")
    (_, north), (_, south) = sheet.at("Deryalyk"), sheet.at("Dauletabad")
    assert west < east
    assert north < south


def test_outlines_lie_under_a_map_that_they_cover(day):
    svg, _ = draw_map(Shown(day), 920.0)
    assert svg.count("home coast") == 1
    assert "Caspian Sea" in svg
    found = country_outlines(51.0, 34.0, 67.0, 43.0, [(58.4, 37.9), (62.0, 37.5), (64.0, 41.0)])
    assert found is not None
    assert found.home == "Turkmenistan"
    assert country_outlines(-10.0, 34.0, 67.0, 43.0, []) is None


def test_corridors_follow_the_flow(day):
    found = corridors(Shown(day))
    assert any(c.nodes[-1] == "Gedaim" for c in found)
    for c in found:
        assert list(c.km) == sorted(c.km)
        assert len(c.nodes) == len(set(c.nodes)) == len(c.km)


def test_a_case_with_one_bus_and_no_line_is_drawn():
    net = read("four_buses")
    alone = replace(net, tables={"buses": net["buses"].where(np.array([0])), "lines": table("lines", [])}, _kinds={})
    assert len(places(alone).at) == 1


@given(st.lists(st.floats(0, 200), min_size=1, max_size=7))
def test_labels_of_lines_keep_apart_and_in_order(wanted):
    out = spread(sorted(wanted), 13.0, 0.0, 200.0)
    assert all(b - a >= 13.0 - 1e-9 for a, b in pairwise(out))


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_at_most_four_grid_lines_with_different_texts(low, span):
    marks = ticks(low, low + span)
    assert 1 <= len(marks) <= 4
    if span > 1e-4 and abs(low) < 1e5:
        assert len(set(tick_texts(marks))) == len(marks)


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(0, 300)), max_size=20))
def test_labels_never_overlap(points):
    wishes = [Wish(x, y, 4.0, ("Ashgabat", "12.0 Mm³/d"), 1.0, far=True) for x, y in points]
    placed = arrange(wishes, [], np.empty((0, 4)), Box(0, 0, 400, 300))
    for k, label in enumerate(placed):
        assert all(label.box.overlap(other.box) == 0.0 for other in placed[:k])


def test_text_width_is_no_underestimate_of_a_plain_font():
    assert text_width("Turkmenbashi", 12.0) > 12 * 5.5
    assert text_width("iiii", 12.0) < text_width("WWWW", 12.0)
