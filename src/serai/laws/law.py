# SPDX-License-Identifier: Apache-2.0
"""What a law is: one scalar formula that returns its rows and their slopes, and the register of all laws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LAWS: dict[str, Law] = {}

inline = njit(cache=True, error_model="numpy")  # for the small functions that formulas share


@dataclass(frozen=True, eq=False)
class Law:
    """One physical equation of one element.

    name        as registered
    formula     compiled scalar function f(*columns, *parameters) -> (rows..., slopes...), slopes row by row
    columns     unknowns it ties together, in order, as textbook symbols
    parameters  what it takes as given, in order
    rows        number of values it returns (a law of an element owns a row; a flow adds to two balances)
    valid       (low, high) of every symbol: where the formula holds, and where the slope test samples it
    """

    name: str
    formula: Any
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    rows: int
    valid: Mapping[str, tuple[float, float]]

    @property
    def module(self) -> str:
        """The module that defines the formula: generated kernels import it by this name."""
        return str(self.formula.py_func.__module__)

    @property
    def function(self) -> str:
        """The name of the formula in its module."""
        return str(self.formula.py_func.__name__)


def law(
    columns: str, parameters: str = "", *, rows: int = 1, valid: Mapping[str, tuple[float, float]]
) -> Callable[[Any], Any]:
    """Register the decorated scalar formula as a law; one parametrised test then checks its slopes.

    `columns` and `parameters` are symbols separated by blanks, in the order of the formula's arguments; `valid` gives
    the range of every symbol that is not of order one.
    """

    def register(function: Any) -> Any:
        formula = njit(cache=True, error_model="numpy")(function)
        cols, pars = tuple(columns.split()), tuple(parameters.split())
        LAWS[function.__name__] = Law(function.__name__, formula, cols, pars, rows, valid)
        return formula

    return register
