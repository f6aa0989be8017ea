# SPDX-License-Identifier: Apache-2.0
"""Every transition of an alarm against a second model: a table of states and events, as ISA-18.2 prints it."""

import shutil
import tempfile
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alarms.small_list import FINDING, HIGH, LOW, T0, book, network
from serai.alarms import Alarms, Condition
from serai.errors import Refused, UnknownName

MEMORY = "/dev/shm"  # noqa: S108 - a folder is made in it; every step syncs the journal: quicker in memory
TABLE = {
    ("normal", "true"): "unacknowledged",
    ("unacknowledged", "acknowledge"): "acknowledged",
    ("unacknowledged", "false"): "returned",
    ("acknowledged", "false"): "normal",
    ("returned", "acknowledge"): "normal",
    ("returned", "true"): "unacknowledged",
}
RECORDS = (
    {**HIGH, "key": "high", "priority": "urgent", "on_delay": 0, "off_delay": 0},
    {**LOW, "key": "low", "priority": "high", "explained_by": ["diagnosis.loss"], "suppressed_when_stopped": True},
    {**LOW, "key": "low latched", "priority": "low", "set_point": 50.0, "latch": True, "dead_band": 0.0},
    FINDING,
)


class Modelled:
    """One alarm by the table: what the condition says, the state below any hold, and the holds."""

    def __init__(self, on=0.0, off=0.0, *, latch=False):
        self.on, self.off, self.latch = on, off, latch
        self.said, self.since, self.active = False, -inf, False
        self.inner = "normal"
        self.holds = {}

    def say(self, truth, time):
        if truth is not None and truth != self.said:
            self.said, self.since = truth, time

    def due(self, time):
        wait = self.on if self.said else self.off
        return self.said != self.active and time - self.since >= wait - 1e-6

    def event(self, name):
        if self.latch and (self.inner, name) == ("acknowledged", "false"):
            self.inner = "returned"
        else:
            self.inner = TABLE.get((self.inner, name), self.inner)

    def turn(self):
        self.active = self.said
        if not self.holds:
            self.event("true" if self.active else "false")

    def release(self, name):
        if name in self.holds:
            del self.holds[name]
            if not self.holds:
                self.inner = "unacknowledged" if self.active else "normal"

    @property
    def told(self):
        return self.active and not self.holds

    @property
    def state(self):
        if "service" in self.holds:
            return "out-of-service"
        if set(self.holds) - {"shelf"}:
            return "suppressed"
        return "shelved" if self.holds else self.inner


LEVELS = {"dry": 30e5, "band": 40.5e5, "low": 45e5, "good": 60e5, "near": 79.5e5, "high": 85e5, "unknown": nan}
ALARMS = st.sampled_from(["high", "low", "low latched", "diagnosis.loss"])


class Transitions(RuleBasedStateMachine):
    """Two lists of one alarm point each by record: the engine and the table."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if Path(MEMORY).is_dir() else None))
        self.time, self.stopped, self.leak = T0, False, False
        self.open()
        self.ids = {}
        self.models = {
            "high": Modelled(), "low": Modelled(30.0, 60.0), "low latched": Modelled(30.0, 60.0, latch=True),
            "diagnosis.loss": Modelled(),
        }  # fmt: skip
        for key in ("high", "low", "low latched"):
            self.ids[key] = next(n.id for n in self.alarms._slots.named if n.record.key == key)

    def open(self):
        self.alarms = Alarms(book(*RECORDS), network(("A",)), self.folder / "journal.sqlite")
        self.alarms.watch([("pressure", "A")])

    def teardown(self):
        if hasattr(self, "alarms"):
            self.alarms.close()
            shutil.rmtree(self.folder)

    # ------------------------------------------------------------------------------------------------- the model

    def settle(self):
        """Let the model do what is due: the one that explains first, then in the order in which they are due."""
        m = self.models
        for key in sorted((k for k in m if m[k].due(self.time)), key=lambda k: k != "diagnosis.loss"):
            x = m[key]
            told = x.told
            if key == "low" and x.said:
                if self.stopped:
                    x.holds.setdefault("plant", inf)
                if m["diagnosis.loss"].told:
                    x.holds["explained"] = inf
            x.turn()
            if not x.active:
                x.release("explained")
            self.untold(key, told)
        for key in m:
            for name, until in list(m[key].holds.items()):
                if until <= self.time:
                    m[key].release(name)

    def untold(self, key, told_before):
        if key == "diagnosis.loss" and told_before and not self.models[key].told:
            self.models["low"].release("explained")

    # ------------------------------------------------------------------------------------------------- what happens

    @rule(level=st.sampled_from(sorted(LEVELS)), wait=st.sampled_from([0.0, 10.0, 40.0]))
    def scan(self, level, wait):
        self.time += wait
        value = LEVELS[level]
        known = value == value  # noqa: PLR0124 - false for nan
        m = self.models
        if known:
            m["high"].say(True if value > 80e5 else False if value <= 79e5 else None, self.time)
            m["low"].say(True if value < 40e5 else False if value >= 41e5 else None, self.time)
            m["low latched"].say(value < 50e5, self.time)
        self.alarms.scan(self.time, np.array([value]))
        self.settle()

    @rule(wait=st.sampled_from([5.0, 31.0, 100.0, 3700.0]))
    def wait(self, wait):
        self.time += wait
        self.alarms.step(self.time)
        self.settle()

    @rule(level=st.sampled_from(["dry", "low", "good", "high"]))
    def lasting(self, level):
        """Longer than every delay."""
        self.scan(level, 0.0)
        self.wait(61.0)

    @rule()
    def acknowledge_all(self):
        for key in self.models:
            self.acknowledge(key)

    @rule(leak=st.booleans())
    def diagnose(self, leak):
        self.leak = leak
        found = [Condition("diagnosis.loss", "P", explains=frozenset({"A"}))] if leak else []
        self.models["diagnosis.loss"].say(leak, self.time)
        self.alarms.report("diagnosis", self.time, found)
        self.settle()
        for a in self.alarms.standing():
            if a.key == "diagnosis.loss":
                self.ids[a.key] = a.id

    @rule(running=st.booleans())
    def plant(self, running):
        self.stopped = not running
        low = self.models["low"]
        if running:
            low.release("plant")
        else:
            low.holds.setdefault("plant", inf)
        self.alarms.plant("A", self.time, running=running)
        self.settle()

    def act(self, key, allowed, call):
        """Ask the engine; it must refuse exactly what the table does not know."""
        if key not in self.ids:
            return False
        try:
            call(self.ids[key])
        except UnknownName:  # a finding that is gone
            assert key == "diagnosis.loss"
            assert self.models[key].state == "normal"
            return False
        except Refused:
            assert not allowed
            return False
        assert allowed
        return True

    @rule(key=ALARMS)
    def acknowledge(self, key):
        m = self.models[key]
        if self.act(
            key,
            m.state in ("unacknowledged", "returned"),
            lambda i: self.alarms.acknowledge(i, who="x", time=self.time),
        ):
            m.event("acknowledge")

    @rule(key=ALARMS, minutes=st.sampled_from([0.0, 5.0, 59.0, 470.0, None]))
    def shelf(self, key, minutes):
        if minutes is None:
            self.unshelve(key)
        else:
            self.shelve(key, minutes)

    def shelve(self, key, minutes):
        m = self.models[key]
        most = {"high": 0.0, "diagnosis.loss": 0.0, "low": 60.0, "low latched": 480.0}[key]
        allowed = not m.holds and 0.0 < minutes <= most
        if self.act(key, allowed, lambda i: self.alarms.shelve(i, who="x", minutes=minutes, why="y", time=self.time)):
            m.holds["shelf"] = self.time + 60.0 * minutes

    def unshelve(self, key):
        m = self.models[key]
        if self.act(key, "shelf" in m.holds, lambda i: self.alarms.unshelve(i, who="x", time=self.time)):
            m.release("shelf")

    def held(self, key, name, until=inf):
        told = self.models[key].told
        self.models[key].holds[name] = until
        self.untold(key, told)

    @rule(key=ALARMS, what=st.sampled_from(["suppress", "for a while", "out", "in"]))
    def hold(self, key, what):
        if what in ("suppress", "for a while"):
            self.suppress(key, inf if what == "suppress" else 20.0)
        elif what == "out":
            self.out_of_service(key)
        else:
            self.into_service(key)

    def suppress(self, key, wait):
        m, until = self.models[key], self.time + wait
        if self.act(
            key, "design" not in m.holds,
            lambda i: self.alarms.suppress(i, who="x", why="y", time=self.time, until=until),
        ):  # fmt: skip
            self.held(key, "design", until)

    def out_of_service(self, key):
        m = self.models[key]
        if self.act(
            key, "service" not in m.holds, lambda i: self.alarms.out_of_service(i, who="x", why="y", time=self.time)
        ):
            self.held(key, "service")

    def into_service(self, key):
        m = self.models[key]
        allowed = bool({"service", "design"} & set(m.holds))
        if self.act(key, allowed, lambda i: self.alarms.into_service(i, who="x", time=self.time)):
            m.release("service" if "service" in m.holds else "design")

    @rule()
    def restart(self):
        self.alarms.close()
        self.open()
        for m in self.models.values():  # a delay that ran is forgotten; the sources tell it again
            m.said, m.since = m.active, -inf
        self.stopped = self.stopped and "plant" in self.models["low"].holds

    # ------------------------------------------------------------------------------------------------- what must hold

    @invariant()
    def same_states(self):
        if not hasattr(self, "models"):
            return
        found = {a.key: a.state.value for a in self.alarms.standing()}
        for key, m in self.models.items():
            assert found.pop(key, "normal") == m.state, key
        assert not found
        for a in self.alarms.standing():
            assert {n.split(" ")[0] for n in a.holds} == set(self.models[a.key].holds)

    @invariant()
    def counted(self):
        if not hasattr(self, "models"):
            return
        tally = self.alarms.tally()
        shown = [m.state for m in self.models.values()]
        assert tally["unacknowledged"] == sum(s in ("unacknowledged", "returned") for s in shown)
        assert tally["held"] == sum(s in ("shelved", "suppressed", "out-of-service") for s in shown)


Transitions.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTransitions = Transitions.TestCase


def test_an_alarm_that_clears_while_it_is_explained_is_normal_though_nobody_saw_that_it_had_returned():
    """Out of suppression by design it is normal or unacknowledged, by its condition alone (ISA-18.2, figure 3)."""
    alarms = Alarms(book(*RECORDS), network(("A",)))
    alarms.watch([("pressure", "A")])
    time, seen = T0, []
    for level, leak in (("dry", False), ("dry", True), ("low", True), ("dry", True), ("low", True)):
        alarms.scan(time, np.array([LEVELS[level]]))
        alarms.report("diagnosis", time, [Condition("diagnosis.loss", "P", explains=frozenset({"A"}))] * leak)
        time += 61.0  # longer than every delay
        alarms.step(time)
        states = {a.key: a.state.value for a in alarms.standing()}
        seen.append(states.pop("low", "normal"))
        assert states.pop("low latched") == "unacknowledged"
    assert seen == ["unacknowledged", "unacknowledged", "returned", "suppressed", "normal"]
    assert alarms.tally()["unacknowledged"] == 2


@pytest.mark.parametrize("key", ["high", "diagnosis.loss"])
def test_an_urgent_alarm_cannot_be_shelved(key, tmp_path):
    alarms = Alarms(book(*RECORDS), network(("A",)))
    alarms.watch([("pressure", "A")])
    alarms.scan(T0, np.array([90e5]))
    alarms.report("diagnosis", T0, [Condition("diagnosis.loss", "P")])
    mine = next(a for a in alarms.standing() if a.key == key)
    with pytest.raises(Refused, match="cannot be shelved"):
        alarms.shelve(mine.id, who="x", minutes=1, why="y", time=T0)
    assert alarms.alarm(mine.id).state == "unacknowledged"
