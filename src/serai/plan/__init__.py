# SPDX-License-Identifier: Apache-2.0
"""Export plans: which corridors to build and sell through, so that no single neighbour can cut the income.

`serai.plan` is this package and, as the design writes it, a call: `serai.plan(net, horizon=15)`.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """The package under the name of its one job, whichever of the two was asked for first."""

    def __call__(self, *given: Any, **named: Any) -> Any:
        from serai.plan.plan import plan  # noqa: PLC0415 - reading a case's tables needs no solver

        return plan(*given, **named)


sys.modules[__name__].__class__ = _Callable
