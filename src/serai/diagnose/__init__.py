# SPDX-License-Identifier: Apache-2.0
"""Diagnosis: what is wrong, where, how large and since when, with a rate of false alarms.

`serai.diagnose` is this package and, as the design writes it, a call: `serai.diagnose(network, readings)`.
"""

import sys
from types import ModuleType
from typing import Any

from serai.diagnose.course import Course, History
from serai.diagnose.departures import Departure
from serai.diagnose.hypotheses import Hypotheses, hypotheses
from serai.diagnose.incident import Incident
from serai.diagnose.scan import Diagnosis, Fault, Suspect
from serai.diagnose.teach import learn
from serai.diagnose.whole import diagnose

__all__ = [
    "Course", "Departure", "Diagnosis", "Fault", "History", "Hypotheses", "Incident", "Suspect", "diagnose",
    "hypotheses", "learn",
]  # fmt: skip


class _Callable(ModuleType):
    """The package under the name of its one job, whichever of the two was asked for first."""

    def __call__(self, *given: Any, **named: Any) -> Diagnosis | History:
        return diagnose(*given, **named)


sys.modules[__name__].__class__ = _Callable
