# SPDX-License-Identifier: Apache-2.0
"""The true state of a network from its readings, and how sure it is.

`serai.estimate` is this package and, as the design writes it, a call: `serai.estimate(network, readings)`.
"""

import sys
from types import ModuleType
from typing import Any

from serai.estimate.estimator import Estimator, estimate
from serai.estimate.findings import Finding
from serai.estimate.meters import Meter
from serai.estimate.result import Estimate, Score

__all__ = ["Estimate", "Estimator", "Finding", "Meter", "Score", "estimate"]


class _Callable(ModuleType):
    """The package under the name of its one job, whichever of the two was asked for first."""

    def __call__(self, *given: Any, **named: Any) -> Estimate:
        return estimate(*given, **named)


sys.modules[__name__].__class__ = _Callable
