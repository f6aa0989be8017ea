# SPDX-License-Identifier: Apache-2.0
"""A law taken apart: what depends on an element's data alone, and what has to be computed again at every state.

A law is a scalar formula without branches. Called with symbols in the place of numbers, it leaves a list of its
operations. Those that touch no column are the same at every state and in every scenario: they are done once for each
element (`prepare`); the others remain for the loops. Each operation is the one that the formula would do, in its order,
on the same numbers, so results are equal bit for bit. Parameters that are zero in every element (a level pipe, a
steady state) take their terms with them: x 0 + y is y, but for an x that is not finite.
"""

from __future__ import annotations

import builtins
import math
from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, Any

from serai import lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from serai.laws import Law

FORMS = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "truediv": "{0} / {1}", "pow": "{0} ** {1}",
    "neg": "-{0}", "lt": "{0} < {1}", "le": "{0} <= {1}", "gt": "{0} > {1}", "ge": "{0} >= {1}", "eq": "{0} == {1}",
    "ne": "{0} != {1}",
}  # fmt: skip
COMPARING = ("lt", "le", "gt", "ge", "eq", "ne")
FUNCTIONS: dict[Any, str] = {
    math.sqrt: "sqrt", math.exp: "exp", math.log: "log", math.sin: "sin", math.cos: "cos", lanes.where: "where",
    lanes.maximum: "maximum", lanes.minimum: "minimum", lanes.fmuladd: "fmuladd",
}  # fmt: skip
IMPORTS = """from math import cos, exp, log, sin, sqrt

from serai.lanes import fmuladd, load, maximum, minimum, store, where"""


@dataclass(eq=False)
class Symbol:
    """A number of a formula: an input, or an operation on other numbers.

    state  whether it depends on a column, or on a parameter that differs between scenarios
    """

    trace: Trace
    place: int
    form: str
    arguments: tuple[Any, ...]
    state: bool

    def __add__(self, other: Any) -> Any:
        return self.trace.do("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self.trace.do("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self.trace.do("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.trace.do("sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return self.trace.do("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.trace.do("mul", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.trace.do("truediv", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.trace.do("truediv", other, self)

    def __pow__(self, other: Any) -> Any:
        return self.trace.do("pow", self, other)

    def __neg__(self) -> Any:
        return self.trace.do("neg", self)

    def __abs__(self) -> Any:
        return self.trace.do("abs", self)

    def __lt__(self, other: Any) -> Any:
        return self.trace.do("lt", self, other)

    def __le__(self, other: Any) -> Any:
        return self.trace.do("le", self, other)

    def __gt__(self, other: Any) -> Any:
        return self.trace.do("gt", self, other)

    def __ge__(self, other: Any) -> Any:
        return self.trace.do("ge", self, other)

    def __bool__(self) -> bool:
        raise TypeError("a law has no branches: choose with `where`")


@dataclass
class Trace:
    """The operations of one or several calls of a formula, each once."""

    symbols: list[Symbol] = field(default_factory=list)
    known: dict[Any, Symbol] = field(default_factory=dict)

    def take(self, text: str, *, state: bool) -> Symbol:
        """Return an input, written `text` in the loops."""
        return self._symbol(text, (), state=state)

    def do(self, form: str, *arguments: Any) -> Any:
        """Return the result of an operation."""
        short = _shortened(form, arguments)
        if short is not None:
            return short
        state = any(isinstance(a, Symbol) and a.state for a in arguments)
        return self._symbol(form, arguments, state=state or form in COMPARING)

    def _symbol(self, form: str, arguments: tuple[Any, ...], *, state: bool) -> Symbol:
        key = form, tuple(a.place if isinstance(a, Symbol) else repr(float(a)) for a in arguments)
        if key not in self.known:
            self.known[key] = Symbol(self, len(self.symbols), form, arguments, state)
            self.symbols.append(self.known[key])
        return self.known[key]

    def call(self, formula: Any, arguments: Iterable[Any]) -> tuple[Any, ...]:
        """Return what a formula returns for symbols or numbers."""
        return tuple(self._free(formula)(*arguments))

    def _free(self, formula: Any) -> Callable[..., Any]:
        """Return a compiled formula as plain Python in which the functions of numbers take symbols too."""
        function = getattr(formula, "py_func", formula)
        space: dict[str, Any] = {"__builtins__": builtins}
        for name in function.__code__.co_names:
            value = function.__globals__.get(name, getattr(builtins, name, None))
            if hasattr(value, "py_func"):
                value = self._free(value)
            elif getattr(value, "__hash__", None) and value in FUNCTIONS:
                value = self._traced(value)
            space[name] = value
        return FunctionType(function.__code__, space)

    def _traced(self, function: Any) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if any(isinstance(a, Symbol) for a in arguments):
                return self.do(FUNCTIONS[function], *arguments)
            return function(*arguments)

        return call

    # ----------------------------------------------------------------------------------------------------- writing

    def kept(self, results: Sequence[Any]) -> list[Symbol]:
        """Return the symbols without a state that are results, or that operations with a state take."""
        used = [r for r in results if isinstance(r, Symbol)]
        reached = [self.symbols[k] for k in self._reached(results, {})]
        used += [a for s in reached if s.state for a in s.arguments if isinstance(a, Symbol)]
        return [self.symbols[k] for k in sorted({s.place for s in used if not s.state})]

    def lines(self, results: Sequence[Any], kept: Mapping[int, str]) -> list[str]:
        """Return the statements that compute the results; `kept`: place -> text of what is at hand already."""
        reached = self._reached(results, kept)
        out = [f"v{place} = {text}" for place, text in kept.items() if place in reached]
        new = [s for s in self.symbols if s.place in reached and s.place not in kept]
        return out + [f"v{s.place} = {_written(s)}" for s in new]

    def _reached(self, results: Sequence[Any], kept: Mapping[int, str]) -> set[int]:
        """Return the places that must be computed when the kept ones are at hand."""
        found: set[int] = set()
        todo = [r for r in results if isinstance(r, Symbol)]
        while todo:
            symbol = todo.pop()
            if symbol.place not in found:
                found.add(symbol.place)
                if symbol.place not in kept:
                    todo += [a for a in symbol.arguments if isinstance(a, Symbol)]
        return found


def _shortened(form: str, arguments: tuple[Any, ...]) -> Any:
    """Return what an operation with a zero or a one comes to; None where it must be done."""
    first, last = arguments[0], arguments[-1]
    out = None
    if (form == "mul" and (_is(first, 0.0) or _is(last, 0.0))) or (form == "truediv" and _is(first, 0.0)):
        out = 0.0
    elif (form in ("add", "sub") and _is(last, 0.0)) or (form == "mul" and _is(last, 1.0)):
        out = first
    elif (form == "add" and _is(first, 0.0)) or (form == "mul" and _is(first, 1.0)):
        out = last
    elif form == "sub" and _is(first, 0.0):
        out = -last
    elif form == "neg" and first.form == "neg":
        out = first.arguments[0]
    return out


def _is(argument: Any, value: float) -> bool:
    return not isinstance(argument, Symbol) and argument == value


def text_of(argument: Any) -> str:
    """Return how a result or an argument is written."""
    return f"v{argument.place}" if isinstance(argument, Symbol) else repr(float(argument))


def _written(symbol: Symbol) -> str:
    texts = [text_of(a) for a in symbol.arguments]
    if not texts:
        return symbol.form
    if symbol.form in FORMS:
        return FORMS[symbol.form].format(*(f"({t})" if t.startswith("-") else t for t in texts))
    return f"{symbol.form}({', '.join(texts)})"


INNER = '@njit(cache=True, error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)'

PATTERN = '''"""Generated from serai.laws: lanes of the law {name}. Do not edit."""

{imports}

import numpy as np
from numba import njit

KEPT = {kept}


@njit(cache=True, error_model="numpy")
def prepare(parameters, constants):
    """Write what every instance needs of its parameters alone."""
    for i in range(parameters.shape[0]):
{preparing}


{inner}
def residual(x, instances, varied, B, lanes):
    """Add the value of every instance to the scaled residual."""
    columns, constants, rows, row_scales, slots, slot_scales = instances
    for i in range(columns.shape[0]):
{valuing}
{adding}


{inner}
def assemble(x, instances, varied, B, X, lanes):
    """Add value and slopes of every instance to the scaled residual and the matrix."""
    columns, constants, rows, row_scales, slots, slot_scales = instances
    for i in range(columns.shape[0]):
{computing}
{adding}
{sloping}


{inner}
def remember(x, instances, varied, lanes):
    """Write what the state x holds to the parameters of one step ago."""
    columns, constants, rows, row_scales, slots, slot_scales = instances
    for i in range(columns.shape[0]):
{remembering}
'''


def source(law: Law, varied: Sequence[str] = (), zero: Sequence[str] = ()) -> str:
    """Return the text of the module that runs a law in lanes.

    varied  parameters that differ between scenarios, load(varied, i n_varied + k); zero  parameters that are 0 in all
    """
    trace, n, rows = Trace(), len(law.columns), law.rows
    columns = [trace.take(f"load(x, np.intp(columns[i, {k}]), lanes)", state=True) for k in range(n)]
    parameters = [_parameter(trace, law, k, varied, zero) for k in range(len(law.parameters))]
    results = trace.call(law.formula, [*columns, *parameters])
    past = _past(trace, law, varied, columns, parameters)
    kept = trace.kept([*results, *past])
    at_hand = {s.place: f"constants[i, {k}]" for k, s in enumerate(kept)}
    adding, sloping = [], []
    for r in range(rows):
        value = text_of(results[r])
        adding += [
            f"r{r} = np.intp(rows[i, {r}])",
            f"store(B, r{r}, load(B, r{r}, lanes) + {value} * row_scales[i, {r}])",
        ]
        for k in range(n):
            e = r * n + k
            slope = text_of(results[rows + e])
            sloping += [
                f"t{e} = np.intp(slots[i, {e}])",
                f"store(X, t{e}, load(X, t{e}, lanes) + {slope} * slot_scales[i, {e}])",
            ]
    preparing = trace.lines(kept, {})
    preparing += [f"constants[i, {k}] = {text_of(s)}" for k, s in enumerate(kept)]
    remembering = trace.lines(past, at_hand) + [f"store(varied, i * {len(varied)}, {text_of(p)})" for p in past]
    return PATTERN.format(
        name=law.name, imports=IMPORTS, kept=len(kept), inner=INNER, preparing=_indented(preparing),
        valuing=_indented(trace.lines(results[:rows], at_hand)), computing=_indented(trace.lines(results, at_hand)),
        adding=_indented(adding), sloping=_indented(sloping), remembering=_indented(remembering),
    )  # fmt: skip


def _parameter(trace: Trace, law: Law, k: int, varied: Sequence[str], zero: Sequence[str]) -> Any:
    name = law.parameters[k]
    if name in varied:
        return trace.take(f"load(varied, i * {len(varied)} + {list(varied).index(name)}, lanes)", state=True)
    return 0.0 if name in zero else trace.take(f"parameters[i, {k}]", state=False)


def _past(trace: Trace, law: Law, varied: Sequence[str], columns: list[Any], parameters: list[Any]) -> tuple[Any, ...]:
    """Return what a state leaves to the parameters of one step ago."""
    if tuple(varied) == ("m_old",):
        return (columns[law.columns.index("m")],)
    if tuple(varied) == ("mass_old",):  # the law says -(V rho - mass_old) rate
        given = {"rate": 1.0, "mass_old": 0.0}
        at = [given.get(p, q) for p, q in zip(law.parameters, parameters, strict=True)]
        return (-trace.call(law.formula, [*columns, *at])[0],)
    return ()


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(" " * 8 + line for line in lines) or " " * 8 + "pass"
