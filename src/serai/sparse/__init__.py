# SPDX-License-Identifier: Apache-2.0
"""How a sparse system is solved, whatever it means: structure, order of the pivots, factors, Newton."""

from serai.sparse.lu import LU, Statistics
from serai.sparse.newton import NewtonResult, newton
from serai.sparse.structure import StructuralDefect, structural_check

__all__ = ["LU", "NewtonResult", "Statistics", "StructuralDefect", "newton", "structural_check"]
