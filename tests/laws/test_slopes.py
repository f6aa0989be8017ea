# SPDX-License-Identifier: Apache-2.0
"""Every registered law: its slopes against differences, compiled and plain Python alike."""

import numpy as np
import pytest

from serai.laws import LAWS


def sample(law, rng):
    low_high = [law.valid.get(s, (0.1, 1.0)) for s in law.columns + law.parameters]
    return [rng.uniform(lo, hi) for lo, hi in low_high]


@pytest.mark.parametrize("name", sorted(LAWS))
def test_slopes_match_differences(name):
    law = LAWS[name]
    rng = np.random.default_rng(7)
    n, rows = len(law.columns), law.rows
    for _ in range(40):
        x = sample(law, rng)
        out = np.array(law.formula(*x))
        assert len(out) == rows + rows * n
        assert np.all(np.isfinite(out))
        np.testing.assert_allclose(law.formula.py_func(*x), out, rtol=1e-11, atol=1e-9 * np.abs(out).max())
        value, slopes = out[:rows], out[rows:].reshape(rows, n)
        for k in range(n):
            span = np.diff(law.valid.get(law.columns[k], (0.1, 1.0)))[0]
            best = np.inf
            for h in (1e-4 * span, 1e-5 * span, 1e-6 * span):
                up, down = list(x), list(x)
                up[k] += h
                down[k] -= h
                difference = (np.array(law.formula(*up)[:rows]) - np.array(law.formula(*down)[:rows])) / (2 * h)
                noise = 4e-16 * np.abs(value).max() / h
                error = np.abs(difference - slopes[:, k]) - 20 * noise
                best = min(best, np.max(error / (np.abs(slopes[:, k]) + np.abs(slopes[:, k]).max() + 1e-300)))
            assert best < 1e-6, f"{name}: slope in {law.columns[k]} off by {best:.2e} at {x}"
