# SPDX-License-Identifier: Apache-2.0
"""Scenarios of any network one after the other: the equations, their pattern and their factors are kept between them.

The general path of ensembles: it serves what no kernel does. A scenario that only changes values of columns that are
known in the base starts from the base state; one that changes what the network is, or what is known, is solved as new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import PhysicsRefused, SeraiError
from serai.known import Known
from serai.simulate.certificate import certify, worst
from serai.simulate.extract import dataset, names_of
from serai.simulate.steady import ACCEPTED, refuse_impossible, steady
from serai.system import override
from serai.system.knowns import PARAMETERS, checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from serai.network import Network
    from serai.simulate.steady import Run
    from serai.system import System

    Floats = NDArray[np.float64]

SOLVED, REFUSED, NO_ANSWER, BAD_INPUT = 0, 1, 2, 3


@dataclass
class Found:
    """What became of the scenarios of a table.

    variables   result arrays (n_scenarios, ...) with the dimensions behind `scenario`
    status      SOLVED, REFUSED, NO_ANSWER or BAD_INPUT (n_scenarios,); mismatch, iterations (n_scenarios,)
    reasons     scenario -> why it is not solved
    room        memory that a kernel may write over
    """

    variables: dict[str, tuple[tuple[str, ...], Floats]]
    status: NDArray[np.int64]
    mismatch: Floats
    iterations: NDArray[np.integer[Any]]
    reasons: dict[int, str]
    room: Any = field(default=None, repr=False)

    @staticmethod
    def joined(parts: Sequence[Found]) -> Found:
        """Return several tables as one, in their order."""
        variables = {
            name: (dims, np.concatenate([p.variables[name][1] for p in parts]))
            for name, (dims, _) in parts[0].variables.items()
        }
        firsts = np.cumsum([0, *(len(p.status) for p in parts)])
        reasons = {
            int(first) + s: text for first, p in zip(firsts, parts, strict=False) for s, text in p.reasons.items()
        }
        status, mismatch, iterations = (
            np.concatenate([getattr(p, name) for p in parts]) for name in ("status", "mismatch", "iterations")
        )
        return Found(variables, status, mismatch, iterations, reasons)


class OneByOne:
    """Tables of one list of columns, (quantity, element), scenario by scenario.

    given  the Knowns of the base; x  its state (n_column,); limits as in `steady`
    """

    def __init__(
        self, network: Network, system: System, run: Run, *, given: list[Known], x: Floats,
        columns: tuple[tuple[str, str], ...], hour: float | None, q_limits: bool, tolerance: float,
    ) -> None:  # fmt: skip
        self.network, self.system, self.run, self.given, self.x = network, system, run, given, x
        self.columns, self.hour, self.q_limits, self.tolerance = columns, hour, q_limits, tolerance
        self.dims = names_of(network)
        held = {(k.quantity, k.where) for k in given}
        self.as_base = all(c in held and c[0] not in PARAMETERS for c in columns)

    def solve(self, values: Floats, into: Found | None = None) -> Found:  # noqa: ARG002 - its arrays are not reused
        """Solve every row of values (n_scenarios, n_columns), SI."""
        count = len(values)
        variables: dict[str, tuple[tuple[str, ...], Floats]] = {}
        status = np.full(count, NO_ANSWER)
        mismatch, iterations = np.full(count, np.nan), np.zeros(count, np.int64)
        reasons: dict[int, str] = {}
        for s, row in enumerate(values):
            missing = np.flatnonzero(~np.isfinite(row))
            if missing.size:
                quantity, where = self.columns[missing[0]]
                status[s], reasons[s] = BAD_INPUT, f"bad input: {quantity}@{where} is {row[missing[0]]:g}"
                continue
            knowns = [Known(q, w, float(v), source="scenario") for (q, w), v in zip(self.columns, row, strict=True)]
            try:
                checked(self.network, knowns)
            except SeraiError as error:
                status[s], reasons[s] = BAD_INPUT, f"bad input: {error}"
                continue
            try:
                data, mismatch[s], iterations[s] = self._one(knowns)
            except PhysicsRefused as error:
                status[s], reasons[s] = REFUSED, str(error)
                continue
            except SeraiError as error:
                reasons[s] = str(error)
                continue
            if not mismatch[s] <= max(self.tolerance, ACCEPTED):
                reasons[s] = f"the answer does not hold: recomputed, it is off by {mismatch[s]:.1e}"
                continue
            status[s] = SOLVED
            self._keep(variables, data, s, count)
        return Found(variables, status, mismatch, iterations, reasons)

    def _one(self, knowns: list[Known]) -> tuple[xr.Dataset, float, int]:
        """Solve one scenario: its results, recomputed mismatch and Newton steps."""
        if not self.as_base:
            mine = override(self.network, self.given, knowns)
            result = steady(self.network, mine, hour=self.hour, q_limits=self.q_limits)
            return result.dataset, result.mismatch, result.iterations
        self.system.take(override(self.network, self.given, knowns))
        self.run.close(self.run.modes.renew(), self.x)
        before = self.run.iterations
        x = self.run.solve().x
        refuse_impossible(self.system, x)
        value, _ = worst(certify(self.system, x))
        data = dataset(self.system, x[None, :], self.dims).isel(time=0)
        return data, value, self.run.iterations - before

    def _keep(self, variables: dict[str, tuple[tuple[str, ...], Floats]], data: xr.Dataset, s: int, count: int) -> None:
        for name, array in data.data_vars.items():
            if not np.issubdtype(array.dtype, np.number):
                continue
            dims = tuple(str(d) for d in array.dims)
            if str(name) not in variables:
                variables[str(name)] = (dims, np.full((count, *array.shape), np.nan))
            variables[str(name)][1][s] = array.values
