# SPDX-License-Identifier: Apache-2.0
"""The tree of decisions by hand: what is split, settled, bounded and remembered."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from serai.plan.branching import Part, Tree


def tree(bound=10.0, n=3, before=None):
    return Tree(np.zeros(n), np.ones(n), bound, before)


def test_a_side_holds_the_decision_and_nothing_else():
    whole = tree().best()
    down, up = (whole.split(1, up=u, bound=9.0, number=u) for u in (False, True))
    assert (down.low.tolist(), down.high.tolist()) == ([0, 0, 0], [1, 0, 1])
    assert (up.low.tolist(), up.high.tolist()) == ([0, 1, 0], [1, 1, 1])
    assert whole.high.tolist() == [1, 1, 1]  # the part itself is left as it was


def test_decisions_are_settled_where_the_other_side_costs_more_than_is_left_to_win():
    """Bound 10, best plan 8: only what costs more than 2 is settled, and only from the side at which it stands."""
    part = Part(-10.0, 0, 10.0, np.zeros(5), np.ones(5))
    part.settle(np.array([0.0, 0.0, 1.0, 1.0, 0.5]), np.array([-2.5, -1.5, 2.5, 1.5, 0.0]), 2.0)
    assert part.high.tolist() == [0, 1, 1, 1, 1]
    assert part.low.tolist() == [0, 0, 1, 0, 0]


def test_without_a_plan_nothing_is_settled():
    part = Part(-10.0, 0, 10.0, np.zeros(2), np.ones(2))
    part.settle(np.array([0.0, 1.0]), np.array([-1e9, 1e9]), inf)
    assert part.high.tolist() == [1, 1]
    assert part.low.tolist() == [0, 0]


def test_the_decision_that_costs_most_on_both_sides_is_split_and_the_sides_carry_what_was_probed():
    """Decision 0 loses 1 on each side, decision 2 loses 4 and 3: 2 is split, its sides bounded by 6 and 7."""
    loss = {(0, False): 1.0, (0, True): 1.0, (2, False): 4.0, (2, True): 3.0}

    def probe(side):
        (column,) = np.flatnonzero((side.low > 0.0) | (side.high < 1.0))
        return 10.0 - loss[int(column), bool(side.low[column] > 0.0)]

    grown = tree()
    kept, (column, value, up) = grown.split(grown.best(), np.array([0.5, 1.0, 0.6]), probe)
    assert (column, value, up) == (2, 0.6, True)
    assert kept.bound == pytest.approx(7.0)
    assert grown.bound() == pytest.approx(6.0)  # the side that stays open
    assert grown.bound(kept) == pytest.approx(7.0)


def test_a_part_that_is_left_keeps_its_bound():
    grown = tree(5.0)
    part = grown.best()
    assert grown.bound() == -inf
    grown.close(part)
    assert grown.bound() == 5.0


def test_losses_of_another_tree_count_once():
    """Two losses of 1 a unit seen before; a loss of 3 a unit seen now: the mean is 2, not 5/3."""
    old = tree()
    for _ in range(2):
        old.learned(0, 0.5, up=True, loss=0.5)
    new = tree(before=old)
    new.learned(0, 0.5, up=True, loss=1.5)
    assert new.loss[1, 0] / new.seen[1, 0] == pytest.approx(2.0)
