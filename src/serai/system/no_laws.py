# SPDX-License-Identifier: Apache-2.0
"""Stands where `lane_newton` is a plain file; beside a network a module of its laws takes this place."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit
def assemble(x: Any, program: Any, varied: Any, B: Any, X: Any, lanes: Any) -> None:  # pragma: no cover - a pattern
    """Add value and slopes of every law to the scaled residual B and the matrix X."""


@njit
def residual(x: Any, program: Any, varied: Any, B: Any, lanes: Any) -> None:  # pragma: no cover - a pattern
    """Add the value of every law to the scaled residual B."""


@njit
def remember(x: Any, program: Any, varied: Any, lanes: Any) -> None:  # pragma: no cover - a pattern
    """Write the state x as that of one step ago to the parameters that hold it."""
