# SPDX-License-Identifier: Apache-2.0
"""Signatures against filters that were really disturbed, scores against their law, limits against simulation."""

import copy

import numpy as np
import pytest

from estimate.moving_line import SCAN, USUAL, meters, moving, network
from serai.diagnose.sequential import (
    BLOCK,
    LONG,
    SHORT,
    Lesson,
    Limits,
    Signatures,
    blocks,
    course,
    untaught,
    windows,
)
from serai.errors import SeraiError
from serai.estimate.moving import Moving


@pytest.fixture(scope="module")
def line():
    """The filter laid out where the line is at rest, so that slopes hold for as long as a test looks."""
    first = moving()
    x = first.state.x
    for _ in range(3000):
        x = first.pipes.step(x, first.state.u, first.state.e)
    rest = dict(zip(first.pipes.nodes, first.pipes.pressures(x).tolist(), strict=True))
    return Moving(network(), USUAL, rest, given=meters(), cell=15e3, scan=SCAN)


@pytest.fixture(scope="module")
def signatures(line):
    return Signatures(line)


def settled(line, scans=3):
    """Return a copy of the filter's state where its slopes were taken, with the last gain in force."""
    s = copy.deepcopy(line.state)
    for _ in range(scans):
        s.x = line.pipes.step(s.x, s.u, s.e)
    s.age = line.stages[-1].since
    return s


def innovations(line, start, scans, *, node=None, meter=None, size=0.0):
    """Run the exact laws with a fault from the first scan on and the filter over its noiseless readings."""
    lo, pipes = line.layout, line.pipes
    line.state, x, u = copy.deepcopy(start), start.x, start.u
    spilt = np.zeros(len(pipes.nodes))
    if node is not None:
        spilt[node] = size
    out = []
    for _ in range(scans):
        x = pipes.step(x, u, pipes.efficiency, spilt)
        z = np.concatenate([u[lo.exchange], pipes.pressures(x)[lo.node]])
        if meter is not None:
            z[meter] += size
        out.append(line.scan(z).innovation)
    return np.array(out)


@pytest.mark.parametrize("name", ["CD [3/6]", "AB [1/4]", "E"])
def test_a_leak_leaves_its_signature(line, signatures, name):
    """The full filter over exact laws with a leak of 0.05 kg/s: innovations are the linear signature, to 1 %."""
    start, node, size = settled(line), line.pipes.nodes.index(name), 0.05
    clean = innovations(line, start, 120)
    nu = innovations(line, start, 120, node=node, size=size) - clean
    y = signatures.whitened(nu) / size
    wanted = signatures.short[:, :, node]
    assert np.abs(y[:60] - wanted).max() < 0.01 * np.abs(wanted).max()
    wanted = signatures.long[: 120 // BLOCK, :, node]
    assert np.abs(blocks(y) - wanted).max() < 0.01 * np.abs(wanted).max()


def test_a_bias_leaves_its_signature(line, signatures):
    start, meter = settled(line), 3
    nu = innovations(line, start, 60, meter=meter, size=0.1) - innovations(line, start, 60)
    wanted = signatures.short[:, :, signatures.n_leak + meter]
    assert np.abs(signatures.whitened(nu) / 0.1 - wanted).max() < 0.01 * np.abs(wanted).max()


def test_scores_of_white_innovations_are_standard_normal(signatures):
    y = np.random.default_rng(1).standard_normal((6000, len(signatures.alive)))
    for window in (5, 60):
        z = signatures.scores(y, window)
        assert np.isnan(z[: window - 1]).all()
        z = z[window - 1 :: window]  # one after the other: independent
        n = len(z)
        assert np.abs(z.mean(0)).max() < 5.0 / np.sqrt(n)
        assert z.std(0) == pytest.approx(np.ones(z.shape[1]), abs=5.0 / np.sqrt(2 * n))


def test_scores_and_information_are_the_sums_they_say(signatures):
    """D, C by a plain loop over a window, short and long."""
    y = np.random.default_rng(2).standard_normal((900, len(signatures.alive)))
    j = 4
    for window, bank, rows in ((20, signatures.short, y), (180, signatures.long, blocks(y))):
        n = window if window in SHORT else window // BLOCK
        late = rows[-n:]
        D = sum(bank[t, :, j].astype(float) @ late[t] for t in range(n))
        C = sum(float(bank[t, :, j].astype(float) @ bank[t, :, j]) for t in range(n))
        assert signatures.information[window][j] == pytest.approx(C, rel=1e-5)
        assert signatures.scores(rows, window)[-1, j] == pytest.approx(D / np.sqrt(C), rel=1e-3, abs=1e-4)


def test_a_planted_fault_tops_all_scores_with_its_size(line, signatures):
    node, size = line.pipes.nodes.index("CD [2/6]"), 6.0
    y = np.random.default_rng(3).standard_normal((60, len(signatures.alive)))
    y += size * signatures.short[:, :, node]
    z = signatures.scores(y, 60)[-1]
    best = int(np.argmax(np.abs(z)))
    assert signatures.faults[best].kind == "leak"
    assert abs(best - node) <= 1
    root = np.sqrt(signatures.information[60][node])
    assert z[node] / root == pytest.approx(size, abs=4.0 / root)


def test_limits_hold_the_rate_they_promise(signatures):
    """Learned on 48 days of white innovations, tried on 48 others: spans over the level as often as promised."""
    r, n = np.random.default_rng(4), len(signatures.alive)
    lesson, run = Lesson(scan=SCAN), 4 * 1440
    for _ in range(4):
        lesson.spread(signatures, r.standard_normal((run, n)), 0)
    lesson.close()
    assert all((lesson.spreads[w] < 1.25).all() for w in (*SHORT, 90))
    for _ in range(12):
        lesson.largest(signatures, r.standard_normal((run, n)), 0)
    limits = lesson.limits()
    level = limits.level(6.0)  # a month: five of a hundred spans of six hours
    assert limits.alarms_a_month(level) == pytest.approx(6.0, rel=1e-6)
    spans = []
    for _ in range(12):
        top = course(signatures, limits.spread, r.standard_normal((run, n)))
        spans += list(top.reshape(-1, 360).max(1) > level)
    # 0.05 of 192 spans are 10 +- 3, more spread for what neighbours share and for the fit: a factor of two and a half
    assert 0.02 < np.mean(spans) < 0.125
    assert untaught(signatures, spread=1.0).level(6.0) == pytest.approx(level, abs=0.8)


def test_what_is_wrong_for_a_moment_every_day_raises_no_limit_of_others(signatures):
    """A meter that is wrong for three scans, by a score of 9, gets a spread of its own; others keep theirs."""
    y = np.random.default_rng(5).standard_normal((1600, len(signatures.alive)))
    j = signatures.n_leak
    y[800:803] += 9.0 / signatures.information[3][j] ** 0.5 * signatures.short[:3, :, j]
    plain, reaching = Lesson(), Lesson(reach=4.5)
    for lesson in (plain, reaching):
        lesson.spread(signatures, y, 0)
        lesson.close()
    score = np.abs(signatures.scores(y, 3)[2:]).max(0)
    wide = reaching.spreads[3] > 1.0 + 1e-6
    assert wide.any()
    assert not wide.all()
    expected = np.maximum(plain.spreads[3], score / 4.5)
    biases = slice(signatures.n_leak, None)
    assert np.allclose(reaching.spreads[3][biases], expected[biases])
    assert course(signatures, reaching.spreads, y).max() < 4.6 < course(signatures, plain.spreads, y).max()


def test_levels_rise_as_fewer_alarms_are_allowed():
    limits = Limits({}, 4.0, 0.3, 6 * 3600.0, 90.0)
    assert limits.level(0.1) > limits.level(1.0) > limits.level(10.0)
    assert limits.alarms_a_month(limits.level(0.1)) == pytest.approx(0.1)


def test_too_few_clean_days_are_said(signatures):
    lesson = Lesson()
    lesson.spread(signatures, np.zeros((600, len(signatures.alive))), 0)
    with pytest.raises(SeraiError, match="clean days too short"):
        lesson.close()


def test_all_windows_have_information(signatures):
    assert windows() == (*SHORT, *(n * BLOCK for n in LONG))
    for a, b in zip(windows()[:-1], windows()[1:], strict=True):
        assert (signatures.information[b] >= signatures.information[a] * 0.9).all()


def test_a_spread_that_few_windows_tell_is_taken_for_wider():
    """Of normal numbers, as many as fit into the days, nine spreads in ten lie above what was measured so widened."""
    r = np.random.default_rng(5)
    days = 5.0
    for window in (60, 720, 1440):
        n = round(days * 1440 / window)
        measured = np.sqrt((r.standard_normal((4000, n)) ** 2).mean(1))
        limits = Limits({window: measured}, 5.0, 0.4, 21600.0, days).sure()
        assert (limits.spread[window] >= 1.0).mean() == pytest.approx(0.9, abs=0.02)
        assert limits.level(0.1) == Limits({}, 5.0, 0.4, 21600.0, days).level(0.1)
