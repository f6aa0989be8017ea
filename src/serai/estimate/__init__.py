# SPDX-License-Identifier: Apache-2.0
"""The true state of a network from its readings, and how sure it is."""

from serai.estimate.estimator import Estimator, estimate
from serai.estimate.findings import Finding
from serai.estimate.meters import Meter
from serai.estimate.result import Estimate, Score

__all__ = ["Estimate", "Estimator", "Finding", "Meter", "Score", "estimate"]
