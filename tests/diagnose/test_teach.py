# SPDX-License-Identifier: Apache-2.0
"""Lessons of several fields, and the one that comes with the bundled country."""

from dataclasses import replace

import numpy as np
import pytest

import serai as sr
from diagnose.test_course import batches
from estimate.moving_line import case, read, truth
from serai.diagnose.course import Course
from serai.diagnose.lesson import OWN, own_lesson, read_lesson
from serai.diagnose.teach import gather, learn_fields
from serai.errors import SeraiError
from serai.field import read_scenario

SETTLED = 60


@pytest.fixture(scope="module")
def taught():
    """What two fields say, whose pipes and meters are others."""
    fields = [gather(case(), batches(read(truth(6.5, seed), seed)), settled=SETTLED) for seed in (21, 22)]
    return learn_fields(case(), fields, settled=SETTLED, about="two fields")


def test_limits_of_several_fields_hold_for_another_one_from_its_beginning(taught):
    """No state goes along: a third field is judged after an hour, and its leak of 4 % is told."""
    assert taught.state == {}
    course = Course(case(), lesson=taught)
    assert course.watch.settled == SETTLED
    assert course.watch.limits is taught.gas
    z = read(truth(3.5, 23, leak=("CD [10/20]", 8.0, 2.5)), 24)
    said = [course.scan(b) for b in batches(z)]
    assert not any(said[:150])
    (leak,) = said[-1]
    assert leak.kind == "leak"
    assert leak.pipe == "CD"


def test_too_few_fields_teach_nothing(taught):
    with pytest.raises(SeraiError, match="too little"):
        learn_fields(case(), [])


def test_a_lesson_that_does_not_fit_is_left_aside_and_said_so(taught):
    unfit = ((replace(taught, tags=taught.tags[1:]), "other meters"), (replace(taught, day="frost"), "frost"))
    for other, why in unfit:
        course = Course(case(), lesson=other)
        assert course.watch.limits is not other.gas
        assert any(why in n for n in course.notes)
        assert all(not s for s in course.spread)


def test_the_country_brings_a_lesson_of_seeds_of_its_own():
    """It is small, of the meters of the case, and its seeds are those of no scenario."""
    net = sr.read("turkmenistan")
    file = own_lesson(net)
    assert file.stat().st_size < 300_000
    lesson = read_lesson(file)
    assert lesson.case == net.name
    assert lesson.day == net.day
    assert lesson.settled == 120
    assert lesson.state == {}
    assert set(lesson.tags) <= set(net["instruments"].names)
    assert all((v >= 1.0).all() and np.isfinite(v).all() for v in lesson.gas.spread.values())
    seeds = {int(w) for w in lesson.about.replace(",", " ").replace(";", " ").split() if w.isdigit()}
    for name in ("clean", "leak_2_percent", "leak_hole", "theft", "meters", "forged_replay", "forged_stealth"):
        assert read_scenario(name, net).seed not in seeds
    assert own_lesson(case()) is None
    assert Course(case(), lesson=OWN).notes == []
