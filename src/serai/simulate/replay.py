# SPDX-License-Identifier: Apache-2.0
"""Replays: a scenario run on the model, and what came out beside what was published."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import SeraiError
from serai.known import Event, Known
from serai.simulate.measured import measured
from serai.simulate.scenario import Scenario, read_scenario, scenarios
from serai.simulate.steady import steady
from serai.simulate.transient import transient
from serai.units import HOUR, UNITS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from serai.network import Network
    from serai.simulate.labelled import Result
    from serai.simulate.scenario import Cause, Expect

    Floats = NDArray[np.float64]

__all__ = ["Finding", "Replay", "read_scenario", "replay", "scenarios"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation beside what the model found.

    found    SI (`hours until`: s; nan = never); of `first to reach` the name in `name`
    verdict  "as published" (inside its factor), "as expected" (direction or bound), or what is wrong
    good     whether nothing is wrong
    """

    expect: Expect
    found: float
    name: str
    good: bool
    verdict: str


@dataclass(frozen=True)
class Replay:
    """A scenario that has been run.

    result       with all events
    undisturbed  the same without events: changes are counted against it
    alone        with the events of nature only; None where nothing is expected of it
    findings     one for each expectation
    """

    scenario: Scenario
    result: Result
    undisturbed: Result
    alone: Result | None
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether every expectation is met."""
        return all(f.good for f in self.findings)

    def table(self) -> pd.DataFrame:
        """Return expected against found, in the units of the scenario."""
        import pandas as pd  # noqa: PLC0415 - pandas only at the edge

        gas = self.result.network.gas
        return pd.DataFrame([_row(f, gas.standard_density) for f in self.findings])


def replay(
    network: Network,
    scenario: Scenario | str | os.PathLike[str],
    *,
    progress: Callable[[float], None] | None = None,
) -> Replay:
    """Run a scenario (or its file, or the name of a bundled one) and judge what comes out.

    Up to three transients: with all events, without any, and, where something is expected of it, with those of nature.
    Raises what `transient` raises, naming the scenario.
    """
    if not isinstance(scenario, Scenario):
        scenario = read_scenario(_file(network, scenario), network)
    net = network.on(scenario.day) if scenario.day else network
    job = _Job(net, scenario)
    runs: dict[str, Result] = {}
    wanted = ["all", "none"] + ["nature"] * any(not e.people for e in scenario.expects)
    for k, which in enumerate(wanted):
        runs[which] = job.run(which)
        if progress is not None:
            progress((k + 1) / len(wanted))
    findings = [_judge(e, runs["all" if e.people else "nature"], runs["none"], scenario) for e in scenario.expects]
    return Replay(scenario, runs["all"], runs["none"], runs.get("nature"), tuple(findings))


def _file(network: Network, scenario: str | os.PathLike[str]) -> Path:
    path = Path(scenario)
    if path.suffix == ".toml":
        return path
    files = {f.stem: f for f in scenarios(network)}
    if str(scenario) not in files:
        msg = f"{network.name} has no scenario {str(scenario)!r}; there are {', '.join(files) or 'none'}"
        raise SeraiError(msg)
    return files[str(scenario)]


@dataclass
class _Job:
    """The runs of one scenario; the states that its values refer to are solved once."""

    network: Network
    scenario: Scenario

    def __post_init__(self) -> None:
        """Solve the mean of the day, and the state at the start with what is given."""
        relative = {c.of for c in (*self.scenario.given, *self.scenario.events)}
        self.states: dict[str, Result] = {}
        if "mean" in relative:
            self.states["mean"] = steady(self.network)
        if "start" in relative:
            self.states["start"] = steady(self.network, self.given(people=True), hour=0.0)

    def knowns(self, cause: Cause) -> list[Known]:
        """Return the Knowns of a cause, one for each element."""
        source = f"scenario {self.scenario.name}"
        values = [
            cause.value * (float(measured(self.states[cause.of], cause.quantity, w)) if cause.of else 1.0)
            for w in cause.where
        ]
        return [Known(cause.quantity, w, v, source=source) for w, v in zip(cause.where, values, strict=True)]

    def given(self, *, people: bool) -> list[Known]:
        """Return what is given; without what people do, where `people` is False."""
        return [k for c in self.scenario.given if people or c.by == "nature" for k in self.knowns(c)]

    def run(self, which: str) -> Result:
        """Run with all events, with none, or with those of nature."""
        s, people = self.scenario, which != "nature"
        chosen = [c for c in s.events if which == "all" or (which == "nature" and c.by == "nature")]
        events = [Event(c.time, k) for c in chosen for k in self.knowns(c)]
        try:
            return transient(self.network, hours=s.hours, step=s.step, knowns=self.given(people=people), events=events)
        except SeraiError as error:
            msg = f"scenario {s.name}, run with {which} of its events: {error}"
            raise SeraiError(msg) from error


# ------------------------------------------------------------------------------------------------------- judging


def _judge(e: Expect, run: Result, undisturbed: Result, scenario: Scenario) -> Finding:
    time = run.dataset["time"].values
    name = ""
    if e.measure == "change":
        window = (time <= e.at + 1e-6) & (time >= e.at - e.mean - 1e-6)
        series = [sum(measured(r, e.quantity, w) for w in e.where) for r in (run, undisturbed)]
        found = float(np.mean(np.asarray(series[0] - series[1])[window]))
    elif e.measure in ("lowest", "highest"):
        values = np.concatenate([measured(run, e.quantity, w) for w in e.where])
        found = float(np.nanmin(values) if e.measure == "lowest" else np.nanmax(values))
    else:
        first = min((c.time for c in scenario.events), default=0.0)
        reached = {w: _reached(e, run, undisturbed, w) for w in e.where}
        name = min(reached, key=lambda w: reached[w])
        found = reached[name] - first if isfinite(reached[name]) else nan
    return Finding(e, found, name, *_verdict(e, found, name))


def _reached(e: Expect, run: Result, undisturbed: Result, where: str) -> float:
    """Return the time [s] at which a quantity first crosses its level, from the side where it started; inf = never."""
    level = e.level
    if isnan(level):
        nodes = run.network["gas_nodes"]
        level = float(nodes["pressure_max"][nodes.row(where)])
    series, time = measured(run, e.quantity, where), run.dataset["time"].values
    side = 1.0 if float(measured(undisturbed, e.quantity, where)[0]) < level else -1.0
    over = np.flatnonzero(side * (series - level) >= 0.0)
    if not len(over):
        return inf
    k = int(over[0])
    if k == 0:
        return float(time[0])
    share = (level - series[k - 1]) / (series[k] - series[k - 1])
    return float(time[k - 1] + share * (time[k] - time[k - 1]))


def _verdict(e: Expect, found: float, name: str) -> tuple[bool, str]:
    """Return whether an expectation is met, and in words how."""
    ratio = found / e.published
    if isnan(found):
        wrong = "never reached"
    elif e.answer and name not in e.answer:
        wrong = f"not {' or '.join(e.answer)}"
    elif e.direction and (found > 0.0) != (e.direction == "up"):
        wrong = f"does not go {e.direction}"
    elif not isnan(ratio) and not 1.0 / e.factor <= ratio <= e.factor:
        wrong = f"{ratio:.2g} times what was published"
    elif not e.at_least <= found <= e.at_most:
        wrong = "below its bound" if found < e.at_least else "above its bound"
    else:
        wrong = ""
    return not wrong, wrong or ("as expected" if isnan(e.published) else "as published")


def _row(f: Finding, density: float) -> dict[str, object]:
    e = f.expect
    hours = e.measure in ("hours until", "first to reach")
    u = UNITS[e.unit]
    factor = HOUR if hours else u.factor * (density if u.standard_volume else 1.0)
    offset = 0.0 if hours or e.measure == "change" else u.offset
    unit = "h" if hours else e.unit.replace("_per_", "/").replace("_", " ")
    shown = [nan if not isfinite(x) else (x - offset) / factor for x in (e.published, f.found)]
    bounds = [
        f"{words} {(x - offset) / factor:g}"
        for words, x in (("at least", e.at_least), ("at most", e.at_most))
        if isfinite(x)
    ]
    return {
        "what": e.text, "expected": " or ".join(e.answer) or ", ".join([*filter(None, [e.direction]), *bounds]),
        "published": shown[0], "model": shown[1], "where": f.name, "unit": unit, "factor": e.factor,
        "verdict": f.verdict, "good": f.good, "reason": e.reason, "source": e.source,
    }  # fmt: skip
