# SPDX-License-Identifier: Apache-2.0
"""Values as JSON and Arrow, held against the solved network; what is unknown is refused by name; shapes hold."""

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

import serai as sr
from room.opened_room import API, get, kind, post, site, visit
from serai.room import shapes
from serai.room.arrow import MEDIA

ARROW = {"headers": {"accept": MEDIA}}
DAY = {"start": "2026-11-22T00:00:00Z", "end": "2026-11-22T06:00:00Z"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with site(tmp_path_factory.mktemp("values")) as found:
        yield found


def table(answer):
    assert answer.headers["content-type"] == MEDIA
    return pa.ipc.open_stream(answer.content).read_all()


def test_a_snapshot_holds_the_steady_state_in_the_order_of_the_layout(made):
    layout, snapshot, arrow = visit(
        made, ("vera", get("/layout")), ("vera", get("/snapshot")), ("vera", get("/snapshot", **ARROW))
    )
    truth = sr.steady(sr.read("two_pipes")).dataset
    for place, value in zip(layout.json()["values"], snapshot.json()["estimate"], strict=True):
        if place["quantity"] == "pressure":
            assert value == pytest.approx(float(truth.pressure.sel(gas_node=place["where"])) / 1e5, abs=0.005)
        else:
            assert value == pytest.approx(float(truth.flow.sel(gas_branch=place["where"])), abs=0.005)
    rows = table(arrow)
    assert rows.column("estimate").to_pylist() == snapshot.json()["estimate"]
    assert rows.column("measured").to_pylist()[0] is None  # not known is null, never zero
    assert rows.column("where").to_pylist() == [p["where"] for p in layout.json()["values"]]
    assert set(rows.schema.metadata) == {b"sequence", b"time"}


def test_readings_of_all_of_one_element_of_one_tag(made):
    every, town, tag, arrow = visit(
        made,
        ("vera", get("/readings")),
        ("vera", get("/readings", params={"where": "Town B"})),
        ("vera", get("/readings", params={"tag": "Pipe 2.flow"})),
        ("vera", get("/readings", **ARROW)),
    )
    assert [len(a.json()) for a in (every, town, tag)] == [5, 1, 1]
    assert town.json()[0]["unit"] == "bara"
    assert table(arrow).column("tag").to_pylist() == [r["tag"] for r in every.json()]


def test_a_trend_is_the_same_in_columns_and_in_long_form(made):
    asked = {"series": ["pressure:Town A", "flow:Pipe 2"], "points": 6, **DAY}
    plain, arrow = visit(made, ("vera", get("/trend", params=asked)), ("vera", get("/trend", params=asked, **ARROW)))
    series = plain.json()["series"]
    rows = table(arrow)
    assert [len(s["time"]) for s in series] == [6, 6]
    assert rows.column("measured").to_pylist() == [v for s in series for v in s["measured"]]
    assert rows.column("where").to_pylist() == ["Town A"] * 6 + ["Pipe 2"] * 6
    assert str(rows.column("time")[0].as_py()) == "2026-11-22 00:00:00+00:00"


def test_history_as_a_table(made):
    visit(made, ("oper", post("/alarms/low1/acknowledge")))
    asked = {"start": "2026-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}
    plain, arrow = visit(
        made, ("vera", get("/alarms/history", params=asked)), ("vera", get("/alarms/history", params=asked, **ARROW))
    )
    assert [h["event"] for h in plain.json()] == table(arrow).column("event").to_pylist() == ["acknowledged"]
    assert table(arrow).column("alarm").to_pylist() == ["low1"]


def test_an_instant_of_the_past_is_a_scan_without_a_number(made):
    asked = {"time": "2100-01-01T00:00:00Z"}
    plain, arrow = visit(
        made, ("vera", get("/instant", params=asked)), ("vera", get("/instant", params=asked, **ARROW))
    )
    shapes.Snapshot.model_validate_json(plain.content)
    assert plain.json()["sequence"] is None
    assert set(table(arrow).schema.metadata) == {b"time"}


@pytest.mark.parametrize(
    ("path", "params", "status", "word"),
    [
        ("/readings", {"tag": "nothing"}, 404, "nothing"),
        ("/readings", {"where": "x" * 201}, 422, "where"),
        ("/readings", {"limit": 0}, 422, "limit"),
        ("/readings", {"limit": 10_001}, 422, "limit"),
        ("/trend", {"series": "pressure:Nowhere", **DAY}, 404, "pressure:Nowhere"),
        ("/trend", {"series": "flow", **DAY}, 404, "flow"),
        ("/trend", DAY, 422, "series"),
        ("/trend", {"series": ["flow:Pipe 1"] * 21, **DAY}, 422, "series"),
        ("/trend", {"series": "flow:Pipe 1", "start": DAY["end"], "end": DAY["start"]}, 422, "before"),
        ("/trend", {"series": "flow:Pipe 1", "start": "yesterday", "end": DAY["end"]}, 422, "ISO 8601"),
        ("/trend", {"series": "flow:Pipe 1", "start": "2026-11-22T00:00:00", "end": DAY["end"]}, 422, "zone"),
        ("/trend", {"series": "flow:Pipe 1", "start": "0001-01-01T00:00:00+14:00", "end": DAY["end"]}, 422, "2000"),
        ("/trend", {"series": "flow:Pipe 1", "start": "1795356180", "end": DAY["end"]}, 422, "ISO 8601"),
        ("/instant", {"time": "2001-01-01T00:00:00Z"}, 404, "nothing was known"),
        ("/sheets", {"day": "9999-12-31"}, 422, "2200"),
        ("/alarms/none", {}, 404, "none"),
        ("/plan", {}, 404, "serai plan"),
        ("/ahead", {}, 404, "yet"),
    ],
)
def test_what_is_unknown_or_does_not_fit_is_said(made, path, params, status, word):
    (answer,) = visit(made, ("vera", get(path, params=params)))
    assert answer.status_code == status
    kind(answer)
    assert word in answer.text


SHAPES = {
    "/case": shapes.CaseShown, "/network": shapes.NetworkShown, "/layout": shapes.Layout,
    "/snapshot": shapes.Snapshot, "/health": shapes.Health, "/diagnosis": shapes.Diagnosis,
    "/alarms": list[shapes.AlarmShown], "/readings": list[shapes.Reading], "/session": shapes.SignedIn,
    "/log": list[shapes.Entry], "/sheets": shapes.Sheets,
}  # fmt: skip


def test_answers_have_the_shapes_that_are_described(made):
    answers = visit(made, *(("vera", get(path)) for path in SHAPES))
    for (path, shape), answer in zip(SHAPES.items(), answers, strict=True):
        assert answer.status_code == 200, path
        TypeAdapter(shape).validate_json(answer.content)


def test_an_alarm_from_acknowledged_to_out_of_service(made):
    async def scene(client):
        out = []
        for do, sent in (
            ("shelve", {"minutes": 30, "reason": "maintenance of the meter"}),
            ("shelve", {"minutes": 30, "reason": "maintenance of the meter"}),
            ("unshelve", None),
            ("out-of-service", {"permit": "P-17", "reason": "meter removed"}),
            ("into-service", {"reason": "meter is back"}),
            ("suppress", {"until": "2026-12-01T00:00:00Z", "reason": "station is shut down"}),
        ):
            answer = await client.post(f"{API}/alarms/low1/{do}", **({"json": sent} if sent else {}))
            out.append((answer.status_code, answer.json().get("state")))
        return out

    (out,) = visit(made, ("engin", scene))
    assert out == [
        (200, "shelved"), (409, None), (200, "unacknowledged"), (200, "out-of-service"), (200, "unacknowledged"),
        (200, "suppressed"),
    ]  # fmt: skip
    assert ("engin", "shelve", {"where": "alarm low1", "minutes": 30.0, "reason": "maintenance of the meter"}) in (
        made.recorded()
    )
    assert made.recorded()[-1][2]["until"] == "2026-12-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("do", "sent"),
    [
        ("shelve", {"minutes": 0, "reason": "long enough"}),
        ("shelve", {"minutes": 1e9, "reason": "long enough"}),
        ("shelve", {"minutes": 5}),
        ("shelve", {"minutes": 5, "reason": ""}),
        ("shelve", {"minutes": float("1e308"), "reason": "long enough"}),
        ("suppress", {"until": "for ever", "reason": "long enough"}),
        ("out-of-service", {"reason": "no permit"}),
    ],
)
def test_a_shelf_needs_a_time_and_a_reason(made, do, sent):
    (answer,) = visit(made, ("engin", post(f"/alarms/low1/{do}", json=sent)))
    assert (answer.status_code, kind(answer)) == (422, "invalid")
