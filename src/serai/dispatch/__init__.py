# SPDX-License-Identifier: Apache-2.0
"""Set-points that the physics accepts, at least fuel, losses or cost.

`serai.dispatch` is this package and, as the design writes it, a call: `serai.dispatch(network, choose=["stations"])`.
"""

import sys
from types import ModuleType
from typing import Any

from serai.dispatch.dispatch import Dispatch, dispatch
from serai.dispatch.sequence import Binding, Violation

__all__ = ["Binding", "Dispatch", "Violation", "dispatch"]


class _Callable(ModuleType):
    """The package under the name of its one job, whichever of the two was asked for first."""

    def __call__(self, *given: Any, **named: Any) -> Dispatch:
        return dispatch(*given, **named)


sys.modules[__name__].__class__ = _Callable
