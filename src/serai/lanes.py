# SPDX-License-Identifier: Apache-2.0
"""A number that is several scenarios at once, so that one law serves a float and SIMD lanes.

A law has no `if`: it chooses with `where`. `sqrt`, `exp`, `log`, `sin`, `cos` come from `math`, `maximum` and `minimum`
from here. Written so, it compiles for floats and for lanes alike:

    lanes = (0.0,) * 8                           # the width travels as a type, never as a global: numba's cache sees it

    @njit(cache=True, error_model="numpy")
    def drag(m, out, lanes):                     # m, out: flat, element i of lane l at [i * len(lanes) + l]
        eps = splat(0.05, lanes)
        for i in range(m.size // len(lanes)):
            x = load(m, i, lanes)
            store(out, i, x * sqrt(x * x + eps * eps))

    drag(m, out, lanes)

Rules of lanes inside compiled functions:
- A lane number may be mixed with plain numbers: they are given to every lane. What begins as a plain number cannot
  become lanes later (types do not unify): begin a sum with `splat(0.0, lanes)`.
- Comparisons give one answer a lane; they are false where a number is NaN (`!=` is true). Only `where` takes them.
- NaN wins in `maximum` and `minimum`, so that a broken lane is never taken for converged.
- `+ - * /`, `sqrt` and the choices give every lane, bit for bit, what the same formula gives a float. `exp`, `log`,
  `sin`, `cos` and powers call the same library function lane by lane: right, and about 20 times as slow.
- `fmuladd(a, b, c)` is a b + c, fused where the machine can: for linear algebra, not for laws.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

if TYPE_CHECKING:
    from collections.abc import Callable

EIGHT = (0.0,) * 8  # the width that was fastest on every network and machine tried: AVX-512 in one, AVX2 in two


class LanesType(types.Type):  # type: ignore[misc]  # numba is untyped
    """numba's type of n float64 side by side."""

    def __init__(self, n: int) -> None:
        """Name the type after its width: equal names are equal types."""
        self.n = n
        super().__init__(name=f"Lanes({n})")


class MaskType(types.Type):  # type: ignore[misc]  # numba is untyped
    """numba's type of n truth values side by side."""

    def __init__(self, n: int) -> None:
        """Name the type after its width: equal names are equal types."""
        self.n = n
        super().__init__(name=f"Mask({n})")


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]  # numba is untyped
    def __init__(self, dmm: Any, fe_type: LanesType) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(ir.DoubleType(), fe_type.n))


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]  # numba is untyped
    def __init__(self, dmm: Any, fe_type: MaskType) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(ir.IntType(1), fe_type.n))


# ------------------------------------------------------------------------------------- choices, in Python and compiled


def where(condition: bool, yes: float, no: float) -> float:  # noqa: FBT001 - the order of numpy.where
    """Return `yes` where the condition holds, else `no`."""
    return yes if condition else no


def maximum(a: float, b: float) -> float:
    """Return the larger value; NaN wins, so that it is never taken for converged."""
    return a if a > b or a != a else b  # noqa: PLR0124 - a != a is the NaN test


def minimum(a: float, b: float) -> float:
    """Return the smaller value; NaN wins, so that it is never taken for converged."""
    return a if a < b or a != a else b  # noqa: PLR0124 - a != a is the NaN test


def fmuladd(a: float, b: float, c: float) -> float:
    """Return a b + c, fused where the machine can."""
    return a * b + c


# ----------------------------------------------------------------------------------------- memory and lanes, compiled


@intrinsic
def load(typing: Any, array: Any, i: Any, lanes: Any) -> Any:  # noqa: ARG001 - numba's form of an intrinsic
    """Take lanes i of a flat float64 array, its elements [i n : (i + 1) n]: `load(array, i, lanes)`."""
    n = lanes.count

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.DoubleType(), n)
        return builder.load(_address(context, builder, sig.args[0], args, n), align=8, typ=kind)

    return LanesType(n)(array, types.intp, lanes), code


@intrinsic
def store(typing: Any, array: Any, i: Any, value: Any) -> Any:  # noqa: ARG001 - numba's form of an intrinsic
    """Write lanes i of a flat float64 array: `store(array, i, value)`."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, sig.args[0], args, value.n), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), code


@intrinsic
def splat(typing: Any, value: Any, lanes: Any) -> Any:  # noqa: ARG001 - numba's form of an intrinsic
    """Put the same float into every lane: `splat(value, lanes)`."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ARG001 - numba's form
        return _spread(builder, args[0], lanes.count)

    return LanesType(lanes.count)(types.float64, lanes), code


def _address(context: Any, builder: Any, array_type: Any, args: Any, n: int) -> Any:
    """Return the address of lanes i: NumPy promises an alignment of 8, no more."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=args[0]).data
    first = builder.mul(args[1], ir.Constant(args[1].type, n))
    return builder.bitcast(builder.gep(data, [first]), ir.VectorType(ir.DoubleType(), n).as_pointer())


def _spread(builder: Any, value: Any, n: int) -> Any:
    """Put one float into every lane."""
    kind = ir.VectorType(ir.DoubleType(), n)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


# -------------------------------------------------------------------------------------- operators: types, then machine


def _widest(args: Any) -> int:
    """Return the width of the lanes among the arguments; 0 where there are none or where they disagree."""
    widths = {a.n for a in args if isinstance(a, LanesType | MaskType)}
    return widths.pop() if len(widths) == 1 else 0


def _as_lanes(args: Any) -> list[Any] | None:
    """Return the arguments with plain numbers taken as floats, or None where something else is among them."""
    out = [types.float64 if isinstance(a, types.Number) else a for a in args]
    return out if all(isinstance(a, LanesType) or a is types.float64 for a in out) else None


def _declare(function: Any, count: int, *, mask: bool = False, plain: bool = False) -> None:
    """Tell numba that a function of `count` numbers takes lanes; `mask`: it compares; `plain`: floats as well."""

    class Lanewise(AbstractTemplate):  # type: ignore[misc]  # numba is untyped
        def generic(self, args: Any, kws: Any) -> Any:
            n, given = _widest(args), _as_lanes(args)
            if kws or given is None or len(args) != count or not (n or plain):
                return None
            result = (MaskType(n) if mask else LanesType(n)) if n else types.float64
            return signature(result, *given)

    infer_global(function)(Lanewise)


def _define(function: Any, count: int, make: Callable[..., Any], **kinds: bool) -> None:
    """Compile a function of lanes by `make(builder, *values)`, plain numbers among them spread first."""
    _declare(function, count, **kinds)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ARG001 - numba's form
        n = _widest(sig.args)
        return make(
            builder,
            *(
                _spread(builder, value, n) if n and kind is types.float64 else value
                for kind, value in zip(sig.args, args, strict=True)
            ),
        )

    kinds_of = (LanesType, types.Float)
    for mixed in range(2**count):
        these = [kinds_of[mixed >> k & 1] for k in range(count)]
        if LanesType in these or kinds.get("plain"):
            lower_builtin(function, *these)(code)


def _machine(name: str) -> Callable[..., Any]:
    """Return what calls an LLVM intrinsic of the type of its arguments."""

    def make(builder: Any, *values: Any) -> Any:
        kind = values[0].type
        suffix = f"v{kind.count}f64" if isinstance(kind, ir.VectorType) else "f64"
        of = ir.FunctionType(kind, [kind] * len(values))
        return builder.call(cgutils.get_or_insert_function(builder.module, of, f"llvm.{name}.{suffix}"), values)

    return make


def _compare(sign: str) -> Callable[..., Any]:
    """Return what compares: false where either is NaN, but for `!=`."""
    if sign == "!=":
        return lambda builder, a, b: builder.fcmp_unordered(sign, a, b)
    return lambda builder, a, b: builder.fcmp_ordered(sign, a, b)


for _function, _instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    for _name in (_function, f"i{_function}"):
        _define(getattr(operator, _name), 2, lambda builder, a, b, do=_instruction: getattr(builder, do)(a, b))
_define(operator.neg, 1, lambda builder, a: builder.fneg(a))
_define(operator.pos, 1, lambda builder, a: a)  # noqa: ARG005 - one form for all
_define(operator.pow, 2, _machine("pow"))
for _function, _sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="), ("ne", "!=")):
    _define(getattr(operator, _function), 2, _compare(_sign), mask=True)
_define(abs, 1, _machine("fabs"))
for _function in ("sqrt", "exp", "log", "sin", "cos"):
    _define(getattr(math, _function), 1, _machine(_function))
# `maxnum` and `minnum` would ignore NaN; `fma` would call a library where the machine has none
_define(maximum, 2, _machine("maximum"), plain=True)
_define(minimum, 2, _machine("minimum"), plain=True)
_define(fmuladd, 3, _machine("fmuladd"), plain=True)


@infer_global(where)
class _Where(AbstractTemplate):  # type: ignore[misc]  # numba is untyped
    def generic(self, args: Any, kws: Any) -> Any:
        if kws or len(args) != 3:
            return None
        condition, given, n = args[0], _as_lanes(args[1:]), _widest(args)
        if given is None or not (isinstance(condition, MaskType) or condition is types.boolean):
            return None
        return signature(LanesType(n) if n else types.float64, condition, *given)


def _select(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ARG001 - numba's form
    n = _widest(sig.args)
    yes, no = (
        _spread(builder, value, n) if n and kind is types.float64 else value
        for kind, value in zip(sig.args[1:], args[1:], strict=True)
    )
    return builder.select(args[0], yes, no)


for _condition in (MaskType, types.Boolean):
    for _yes in (LanesType, types.Float):
        for _no in (LanesType, types.Float):
            lower_builtin(where, _condition, _yes, _no)(_select)
