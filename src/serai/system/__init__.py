# SPDX-License-Identifier: Apache-2.0
"""Laws x network: columns, residual, Jacobian; the check that the Knowns close it; the solve."""

from serai.system.closed import Closed, Solution
from serai.system.columns import Fixed
from serai.system.knowns import override
from serai.system.system import System

__all__ = ["Closed", "Fixed", "Solution", "System", "override"]
