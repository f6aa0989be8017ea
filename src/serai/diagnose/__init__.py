# SPDX-License-Identifier: Apache-2.0
"""Diagnosis: which one thing is wrong, where and how large, with a rate of false alarms.

`serai.diagnose` is this package and, as the design writes it, a call: `serai.diagnose(network, readings)`.
"""

import sys
from types import ModuleType
from typing import Any

from serai.diagnose.departures import Departure
from serai.diagnose.hypotheses import Hypotheses, hypotheses
from serai.diagnose.scan import Diagnosis, Fault, Suspect, diagnose

__all__ = ["Departure", "Diagnosis", "Fault", "Hypotheses", "Suspect", "diagnose", "hypotheses"]


class _Callable(ModuleType):
    """The package under the name of its one job, whichever of the two was asked for first."""

    def __call__(self, *given: Any, **named: Any) -> Diagnosis:
        return diagnose(*given, **named)


sys.modules[__name__].__class__ = _Callable
