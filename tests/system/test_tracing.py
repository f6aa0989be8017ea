# SPDX-License-Identifier: Apache-2.0
"""Laws taken apart for lanes: the loops say what the formula says, and what is hoisted is not done twice."""

import math

import numpy as np
import pytest

from serai.lanes import where
from serai.laws import LAWS
from serai.system import tracing
from serai.system.kernels import written

LIBRARY = (" exp(", " log(", " sin(", " cos(", " ** ")  # round differently in Python and compiled, in the last place


def in_python(law, varied=(), zero=()):
    """The generated module of a law, its lanes one plain number wide."""
    text = tracing.source(law, varied, zero)
    module = written(f"serai_test_{law.name}_{len(varied)}_{len(zero)}", text)

    def load(array, i, lanes):
        return array[i]

    def store(array, i, value):
        array[i] = value

    module.load, module.store = load, store
    return module, text


def drawn(law, zero=(), seed=3, n=4):
    """Columns (n_column, n) and parameters (n, n_parameter) inside the law's range."""
    rng = np.random.default_rng(seed)
    columns = np.array([rng.uniform(*law.valid.get(s, (0.1, 1.0)), n) for s in law.columns])
    parameters = np.array([rng.uniform(*law.valid.get(s, (0.1, 1.0)), n) for s in law.parameters]).reshape(-1, n).T
    for k, p in enumerate(law.parameters):
        if p in zero:
            parameters[:, k] = 0.0
    return columns, np.ascontiguousarray(parameters)


def run(law, module, columns, parameters, varied=()):
    """Rows (n, rows) and slopes (n, rows n_column) that the loops add, and the residual that comes alone."""
    C, n = columns.shape
    R = law.rows
    constants = np.empty((n, max(1, module.KEPT)))
    module.prepare.py_func(parameters, constants)
    places = np.arange(C * n).reshape(n, C)
    rows, slots = np.arange(R * n).reshape(n, R), np.arange(R * C * n).reshape(n, R * C)
    instances = (places, constants, rows, np.ones((n, R)), slots, np.ones((n, R * C)))
    x = np.ascontiguousarray(columns.T).ravel()
    past = np.array([parameters[i, law.parameters.index(p)] for i in range(n) for p in varied] or [0.0])
    B, X, alone = np.zeros(R * n), np.zeros(R * C * n), np.zeros(R * n)
    module.assemble.py_func(x, instances, past, B, X, (0.0,))
    module.residual.py_func(x, instances, past, alone, (0.0,))
    np.testing.assert_array_equal(alone, B)
    return B.reshape(n, R), X.reshape(n, R * C), (x, instances, past)


def check(law, found, given, rtol):
    (found, slopes, _), (columns, parameters) = found, given
    want = np.array([law.formula(*columns[:, i], *parameters[i]) for i in range(columns.shape[1])])
    np.testing.assert_allclose(found, want[:, : law.rows], rtol=rtol, atol=rtol * np.abs(want).max())
    np.testing.assert_allclose(slopes, want[:, law.rows :], rtol=rtol, atol=rtol * np.abs(want).max())


@pytest.mark.parametrize("name", LAWS)
def test_loops_say_what_the_formula_says(name):
    law = LAWS[name]
    module, text = in_python(law)
    columns, parameters = drawn(law)
    exact = not any(f in text for f in LIBRARY)
    check(law, run(law, module, columns, parameters), (columns, parameters), 0.0 if exact else 1e-13)


@pytest.mark.parametrize("name", [n for n in LAWS if n.startswith("pipe_")])
def test_terms_that_are_zero_everywhere_are_left_out(name):
    law, zero = LAWS[name], ("b3", "b4", "b5", "zeta", "gh", "rate", "m_old")
    module, text = in_python(law, (), zero)
    columns, parameters = drawn(law, zero)
    check(law, run(law, module, columns, parameters), (columns, parameters), 1e-13)
    body = text[text.index("def residual") : text.index("def assemble")]
    whole = tracing.source(law)
    assert body.count("\n") < whole[whole.index("def residual") : whole.index("def assemble")].count("\n") - 10


def test_what_depends_on_the_pipe_alone_is_done_once():
    text = tracing.source(LAWS["pipe_nikuradse"], (), ("gh", "rate", "zeta", "b5"))
    once, always = text[: text.index("def residual")], text[text.index("def residual") :]
    assert "log(" in once
    assert "log(" not in always
    assert always.count(" / ") == 1  # m m / s of the slope


@pytest.mark.parametrize(("name", "past"), [("pipe_nikuradse", "m_old"), ("linepack", "mass_old")])
def test_the_state_of_one_step_ago_differs_between_scenarios(name, past):
    law = LAWS[name]
    module, _ = in_python(law, (past,))
    columns, parameters = drawn(law)
    found = run(law, module, columns, parameters, (past,))
    check(law, found, (columns, parameters), 1e-13)
    x, instances, varied = found[2]
    module.remember.py_func(x, instances, varied, (0.0,))
    given = dict(zip(law.parameters, parameters.T, strict=True))
    if past == "m_old":
        want = columns[law.columns.index("m")]
    else:
        b = [given[f"b{k}"] for k in range(1, 6)]
        want = given["V"] * sum(bk * columns[0] ** (k + 1) for k, bk in enumerate(b)) / given["RT"]
    np.testing.assert_allclose(varied, want, rtol=1e-13)


def test_a_branch_in_a_formula_is_refused():
    def law(x):
        return x if x > 0.0 else -x

    trace = tracing.Trace()
    with pytest.raises(TypeError, match="no branches"):
        trace.call(law, [trace.take("x", state=True)])


def test_numbers_stay_numbers_and_choices_are_kept():
    def formula(x, a):
        return where(a > 0.0, x, -x) + math.sqrt(4.0) * x + 0.0, 1.0 * a

    trace = tracing.Trace()
    x, a = trace.take("x", state=True), trace.take("a", state=False)
    value, slope = trace.call(formula, [x, a])
    assert slope is a
    assert trace.kept([value, slope]) == [a]
    text = "\n".join(trace.lines([value], {a.place: "3.0"}))
    space = {"x": 5.0, "where": where}
    exec(text, space)  # noqa: S102 - runs what was just generated
    assert space[tracing.text_of(value)] == 15.0
    assert "sqrt" not in text
