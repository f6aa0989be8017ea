# SPDX-License-Identifier: Apache-2.0
"""What a diagnosed scan leaves over: the readings that fit worst, and what no reading tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serai.diagnose import Diagnosis

WORST = 30  # residuals that are told


def residuals(last: Diagnosis | None) -> list[dict[str, Any]]:
    """Return the readings that fit the last diagnosed scan worst: normalised residuals and their limit."""
    if last is None or not last.estimate.converged:
        return []
    e = last.estimate
    z = np.nan_to_num(np.abs(e.normalised))
    limit = round(e.limit(last.alarms), 2)
    return [
        {"tag": e.meters[k].tag, "where": e.meters[k].where, "quantity": e.meters[k].quantity,
         "normalised": round(float(e.normalised[k]), 2), "limit": limit}
        for k in np.argsort(-z)[:WORST].tolist() if z[k] > 0.0
    ]  # fmt: skip


def unobservable(last: Diagnosis | None) -> Iterable[str]:
    """Return what the last diagnosed scan could not see."""
    if last is None or not last.estimate.converged:
        return []
    return [f"{q} of {n}" for q, n in last.estimate.unobservable][:200]
