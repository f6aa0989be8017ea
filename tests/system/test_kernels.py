# SPDX-License-Identifier: Apache-2.0
"""Generated loops: they do what the formula does, and follow its source."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

from serai.laws import LAWS
from serai.system import kernels


@pytest.mark.parametrize("name", ["branch", "drop", "pipe_colebrook_white"])
def test_a_loop_adds_what_the_formula_returns(name):
    law = LAWS[name]
    rng = np.random.default_rng(3)
    n, C, R = 5, len(law.columns), law.rows
    draw = [rng.uniform(*law.valid.get(s, (0.1, 1.0)), n) for s in (*law.columns, *law.parameters)]
    x = np.concatenate(draw[:C])
    columns = np.arange(C * n).reshape(C, n)
    parameters = np.array(draw[C:]).reshape(len(law.parameters), n)
    rows = np.zeros((R, n), np.intp)  # all instances add to one row
    slots = np.zeros((R * C, n), np.intp)
    row_scales, slot_scales = rng.uniform(0.5, 2.0, (R, n)), rng.uniform(0.5, 2.0, (R * C, n))
    want = np.array([law.formula(*(d[i] for d in draw)) for i in range(n)]).T
    for loop in (kernels.kernel(law).accumulate, kernels.kernel(law).accumulate.py_func):
        residual, data = np.zeros(1), np.zeros(1)
        loop(x, columns, parameters, rows, row_scales, slots, slot_scales, residual, data)
        assert residual[0] == pytest.approx((want[:R] * row_scales).sum(), rel=1e-12)
        assert data[0] == pytest.approx((want[R:] * slot_scales).sum(), rel=1e-12)
    out = np.zeros((R, n))
    kernels.kernel(law).values(x, columns, parameters, out)
    np.testing.assert_allclose(out, want[:R], rtol=1e-13)


def test_the_cache_folder_follows_the_sources_and_can_be_moved(tmp_path):
    code = "from serai.system.kernels import _folder; print(_folder())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SERAI_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path / "kernels-"))


def test_an_unwritable_cache_is_no_obstacle(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("SERAI_CACHE", str(blocked))
    fresh = importlib.reload(importlib.import_module("serai.system.kernels"))
    try:
        assert fresh._folder().exists()
        assert not str(fresh._folder()).startswith(str(blocked))
    finally:
        monkeypatch.undo()
        importlib.reload(fresh)
