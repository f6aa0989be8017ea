# SPDX-License-Identifier: Apache-2.0
"""Where the next meters tell most: against all choices, and against the estimate with them."""

import json
from itertools import combinations

import numpy as np
import pytest
from typer.testing import CliRunner

import serai as sr
from serai import cli
from serai.diagnose.place import _greedy, place
from serai.errors import SeraiError


def test_greedy_is_within_its_bound_of_the_best_choice():
    rng = np.random.default_rng(4)
    for _ in range(20):
        A = rng.standard_normal((9, 6))
        C, sigma = A @ A.T, rng.uniform(0.2, 2.0, 9)
        chosen, gains, bound = _greedy(C, sigma, 3)

        def bits(pick, C=C, sigma=sigma):
            """Mutual information of a set of readings with the state, from its definition."""
            pick = list(pick)
            M = C[np.ix_(pick, pick)] / np.outer(sigma[pick], sigma[pick])
            return 0.5 * np.linalg.slogdet(np.eye(len(pick)) + M)[1] / np.log(2.0)

        best = max(bits(pick) for pick in combinations(range(9), 3))
        assert sum(gains) == pytest.approx(bits(chosen), rel=1e-9)
        assert (1.0 - np.exp(-1.0)) * best <= sum(gains) <= best + 1e-9
        assert best <= bound + 1e-9


def test_the_next_meters_of_the_country():
    net = sr.read("turkmenistan")
    p = place(net, 5)
    assert len(set(p.meters)) == 5
    assert all(a >= b > 0.0 for a, b in zip(p.gains, (*p.gains[1:], 0.0), strict=False) if b)
    assert 0.63 < p.share <= 1.0
    assert p.leaks[1] <= p.leaks[0] < np.inf
    assert not any("losses" in m.where for m in p.meters)  # no place for a meter


def test_serai_place():
    done = CliRunner().invoke(cli.app, ["place", "turkmenistan", "--count", "2"])
    assert done.exit_code == 0, done.output
    assert "  2. " in done.stdout
    told = json.loads(CliRunner().invoke(cli.app, ["place", "turkmenistan", "--count", "2", "--json"]).stdout)
    assert len(told["meters"]) == 2
    assert told["share"] > 0.63


def test_a_pressure_is_asked_for_where_only_pressures_are_offered():
    net = sr.read("turkmenistan")
    p = place(net, 2, candidates=[("pressure", n) for n in ("Achak Junction", "CAC CS-3 Outlet", "Bami")])
    assert {m.quantity for m in p.meters} == {"pressure"}


def test_nothing_to_place_is_refused():
    net = sr.read("turkmenistan")
    with pytest.raises(SeraiError, match="no meter to place"):
        place(net, 0)
    with pytest.raises(SeraiError, match="no meter to place"):
        place(net, 3, candidates=[])
