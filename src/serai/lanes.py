# SPDX-License-Identifier: Apache-2.0
"""The few functions beside arithmetic that a law may use, so that one law serves a float today and SIMD lanes later.

A law has no `if`: it chooses with `where`. `sqrt`, `exp`, `log`, `sin`, `cos` come from `math`.
"""

from __future__ import annotations

from numba import njit


@njit(cache=True, error_model="numpy")
def where(condition: bool, yes: float, no: float) -> float:  # noqa: FBT001 - the order of numpy.where
    """Return `yes` where the condition holds, else `no`."""
    return yes if condition else no


@njit(cache=True, error_model="numpy")
def maximum(a: float, b: float) -> float:
    """Return the larger value; NaN wins, so that it is never taken for converged."""
    return a if a > b or a != a else b  # noqa: PLR0124 - a != a is the NaN test


@njit(cache=True, error_model="numpy")
def minimum(a: float, b: float) -> float:
    """Return the smaller value; NaN wins, so that it is never taken for converged."""
    return a if a < b or a != a else b  # noqa: PLR0124 - a != a is the NaN test
