# SPDX-License-Identifier: Apache-2.0
"""A Known: what a job takes as given. The laws never change; only the Knowns do."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan, nan

from serai.errors import SeraiError


@dataclass(frozen=True, slots=True)
class Known:
    """One given value: a set-point, a meter reading, a forecast, a command.

    quantity  what is known: `pressure`, `withdrawal`, `ratio`, `outlet_pressure`, `magnitude`, ...
    where     the element that carries it, by name
    value     SI (Pa, kg/s, W, var, rad, per unit for `magnitude`)
    sigma     standard deviation in the same unit; 0 = a set-point, holds exactly
    time      seconds since the start of the job at which it begins to hold; nan = always
    source    where it comes from: a file row, a meter tag, a person
    """

    quantity: str
    where: str
    value: float
    sigma: float = 0.0
    time: float = nan
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse values that no law can use."""
        if not isfinite(self.value):
            msg = f"Known {self.quantity} of {self.where}: the value must be a finite number, got {self.value}"
            raise SeraiError(msg)
        if isnan(self.sigma) or self.sigma < 0:
            msg = f"Known {self.quantity} of {self.where}: sigma must be 0 (exact) or above, got {self.sigma}"
            raise SeraiError(msg)

    @property
    def exact(self) -> bool:
        """Whether the value holds exactly (a set-point) instead of being weighed (a reading)."""
        return self.sigma == 0.0
