# SPDX-License-Identifier: Apache-2.0
"""What a running twin answers has the shapes that OpenAPI states: two pipes, followed by the minute, behind a room."""

import asyncio
import json

import pytest
from pydantic import TypeAdapter

from plan.tiny_plans import plan_case
from room.opened_room import API, site
from serai import field
from serai.alarms.view import iso
from serai.diagnose.course import Course
from serai.plan.plan import plan
from serai.plan.told import shown
from serai.room import shapes
from serai.telemetry import historian
from serai.twin.loop import Loop, Settings
from serai.twin.twin import Around, Twin
from twin.desks import START, instrumented

MINUTES = 12
METERS = [
    *((f"{n} PT", "pressure", n, "bara", 3e3, 60.0) for n in ("Field", "Town A", "Town B")),
    ("Field FT", "supply", "Field supply", "kg_per_s", 0.1, 60.0),
    *((f"Town {x} FT", "withdrawal", f"Town {x} gas", "kg_per_s", 0.06, 60.0) for x in "AB"),
]


class AtOnce:
    """The slow questions, answered for real in a thread of this process: to start another takes seconds."""

    async def ask(self, question, *given):
        return await asyncio.to_thread(question, *given)

    def close(self):
        pass


async def run_for(twin, recording, now, store):
    """Beat once a minute until the time is over and the look-ahead and the losses are there."""
    for k, batch in enumerate(recording, start=1):
        store.append(f"b{k}", batch)
        twin.loop.take(batch)
        now[0] = recording.start + 60.0 * k
        await twin.beat(now[0])
        await asyncio.gather(*twin._tasks)
    store.publish()


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Every answer of the API to the people who may ask, of a twin that has run for some minutes: path -> JSON."""
    folder = tmp_path_factory.mktemp("twin")
    (folder / "plan.json").write_text(json.dumps(shown(plan(plan_case(), futures=1, gap=1e-6, seconds=20.0))))
    scenario = field.Scenario("quiet", seed=3, hours=MINUTES / 60.0)
    recording = field.readings(instrumented("two_pipes", METERS), scenario, step="60s", start=START)
    now, (start, end) = [recording.start], (iso(recording.start), iso(recording.start + 60.0 * MINUTES))
    asked = {
        "engin": [
            "case", "network", "layout", "snapshot", f"instant?time={end}", "readings", "diagnosis", "ahead", "outages",
            "plan", "sheets", "alarms", f"alarms/history?start={start}&end={end}", "alarms/figures", "log", "health",
            f"trend?series=pressure:Town A&start={start}&end={end}&points=10",
        ],
        "oper": ["commands"],
    }  # fmt: skip

    async def ask(made, twin):
        found = {}
        await twin.write("all is quiet", "engin")
        for name, paths in asked.items():
            async with made.client(name) as client:
                for path in paths:
                    answer = await client.get(f"{API}/{path}")
                    assert answer.status_code == 200, (path, answer.text)
                    found[path.partition("?")[0]] = answer.json()
        return found

    async def run():
        with historian.open(folder / "history") as store:
            course = Course(recording.network, hour=scenario.start_hour, settled=600)
            loop = Loop(recording.network, recording.meters().register, course, settings=Settings(60.0, inline=True))
            around = Around(now=lambda: now[0], slow=AtOnce(), store=store, archive=folder / "history", folder=folder,
                            plan=folder / "plan.json")  # fmt: skip
            twin = Twin(loop, around)
            try:
                await run_for(twin, recording, now, store)
                with site(folder / "room", desk=twin) as made:
                    return await ask(made, twin)
            finally:
                await twin.close()

    (folder / "room").mkdir()
    return asyncio.run(run())


SHAPES = {
    "case": shapes.CaseShown, "network": shapes.NetworkShown, "layout": shapes.Layout, "snapshot": shapes.Snapshot,
    "instant": shapes.Snapshot, "readings": list[shapes.Reading], "trend": shapes.Trend,
    "diagnosis": shapes.Diagnosis, "ahead": shapes.Ahead, "outages": shapes.Outages, "plan": shapes.Plan,
    "sheets": shapes.Sheets, "alarms": list[shapes.AlarmShown], "alarms/history": list[shapes.Happened],
    "alarms/figures": shapes.AlarmFigures, "log": list[shapes.Entry], "health": shapes.Health,
    "commands": list[shapes.CommandShown],
}  # fmt: skip


@pytest.mark.parametrize("path", SHAPES)
def test_an_answer_of_the_twin_has_its_shape(answers, path):
    TypeAdapter(SHAPES[path]).validate_python(answers[path], strict=True)


def test_the_answers_hold_what_was_asked_for(answers):
    """A shape alone could be kept by an empty answer."""
    n = len(answers["layout"]["values"])
    for scan in (answers["snapshot"], answers["instant"]):
        assert {len(scan[k]) for k in ("estimate", "sigma", "measured", "quality", "source")} == {n}
        assert sum(x is not None for x in scan["estimate"]) > n / 2
    assert len(answers["readings"]) == len(METERS)
    assert answers["ahead"]["hours"] == pytest.approx(24.0)
    assert {s["lost"] for s in answers["ahead"]["survival"]} <= {e["id"] for e in answers["network"]["elements"]}
    assert len(answers["outages"]["cases"]) == answers["outages"]["examined"] > 1
    assert any(case["unserved"]["gas"] > 0.0 for case in answers["outages"]["cases"])  # the line's first pipe
    assert answers["plan"]["title"] == "tiny"
    assert {row["term"] for row in answers["sheets"]["rows"]} >= {"in", "out"}
    assert answers["log"][0]["text"] == "all is quiet"
