# SPDX-License-Identifier: Apache-2.0
"""Lessons from clean days: of one field, which goes on from there, or of several, whose limits hold for any other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.diagnose.course import RESTING, Course
from serai.diagnose.leaks import SETTLED
from serai.diagnose.lesson import Learning, Spreads, Taught, gas_limits
from serai.diagnose.minutes import SCAN
from serai.errors import SeraiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.telemetry.readings import Readings

    Floats = NDArray[np.float64]

LEAST = 360  # scans of a minute
DAY = 86400.0  # s


def learn(network: Network, readings: Iterable[Readings], **asked: Any) -> Taught:
    """Return what clean days of one field teach: limits of all tests, offsets of all meters, the state at their end.

    readings  batches in their order, of days on which nothing was wrong: a day at least, better a week, with starts and
              stops of stations; what they are shown is followed where the readings tell it (`Recording.shown`)
    asked     what `Course` takes besides

    SeraiError when they are too short.
    """
    course, y = _followed(network, readings, asked)
    return _taught(network, course, [y], min(SETTLED, len(y) // 2), state=course.save(replays=False))


@dataclass(frozen=True)
class Gathered:
    """What clean days of one field say: whitened innovations (n_scan, n_meter) once settled, statistics of scans."""

    innovations: Floats
    spreads: Spreads


def gather(network: Network, readings: Iterable[Readings], *, settled: int = RESTING, **asked: Any) -> Gathered:
    """Return what clean days of one field say, from its beginning: the arguments are those of `learn`."""
    course, y = _followed(network, readings, asked)
    return Gathered(y[settled:], Spreads() if course.learning is None else course.learning.spreads)


def learn_fields(
    network: Network, fields: Iterable[Gathered], *, settled: int = RESTING, about: str = "", **asked: Any
) -> Taught:
    """Return what clean days of several fields of a case teach: limits that hold for any of its fields.

    fields   of each what `gather` says: other meters, pipes and customers, a day at least
    settled  scans from which on a beginning is judged: what is before is no part of the lesson, nor later of the test
    about    which they were, in words
    asked    what `Course` takes besides

    The biases of meters are of each field alone, so no state is kept, and a long window was seen but a few times: its
    spread is taken as large as those leave open (`Limits.sure`). SeraiError when they are too short.
    """
    course = Course(network, **{"lesson": None, **asked})
    course.learning = Learning()
    runs = []
    for found in fields:
        course.learning.spreads.join(found.spreads)
        runs.append(found.innovations)
    if sum(map(len, runs)) < LEAST:
        raise SeraiError("clean fields of less than six hours together teach too little")
    taught = _taught(network, course, runs, 0, settled=settled, about=about)
    return replace(taught, gas=taught.gas and taught.gas.sure())


def _taught(network: Network, course: Course, runs: list[Floats], skip: int, **more: Any) -> Taught:
    """Return the lesson of what was gathered; `course` is that of the last run."""
    watch, learning = course.watch, course.learning
    return Taught(
        network.name, sum(map(len, runs)) * SCAN / DAY,
        None if watch is None else gas_limits(watch.signatures, runs, skip),
        () if watch is None else watch.moving.tags, ({}, {}) if learning is None else learning.spreads.spread(),
        day=network.day, **more,
    )  # fmt: skip


def _followed(network: Network, readings: Iterable[Readings], asked: dict[str, Any]) -> tuple[Course, Floats]:
    """Return a course that has followed clean days, and the whitened innovations of its watch (n_scan, n_meter)."""
    course = Course(network, **{"lesson": None, **asked})
    course.learning = Learning()
    shown_at = getattr(readings, "shown", None)
    begin = getattr(readings, "start", 0.0)
    for batch in readings:
        if shown_at is not None and len(batch):
            course.shows(shown_at(float(batch.time.max()) / 1e6 - begin))
        course.scan(batch)
    course.rest()
    if course.counts["scans"] < LEAST:
        msg = f"{course.counts['scans']} clean scans teach too little: give six hours at least, better a week"
        raise SeraiError(msg)
    return course, np.asarray(course.learning.y, np.float64)
