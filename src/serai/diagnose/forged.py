# SPDX-License-Identifier: Apache-2.0
"""What a forger of one side's meters can move unseen: the other side's meters are evidence that he does not hold.

Forged readings a = H c agree with each other for any change c of the state that the laws allow (Liu, Ning, Reiter
2009), so no test of the forged meters alone sees them. A change of power at a gas-fired unit or an electric drive moves
gas as well, and there it meets meters that are true. What stays invisible is what the true meters leave unobservable.

Reference: Y. Liu, P. Ning, M. K. Reiter, False data injection attacks against state estimation in electric power grids,
Proc. 16th ACM CCS, 2009, doi:10.1145/1653662.1653666.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

from serai.estimate import Estimator
from serai.estimate.doubts import Memory
from serai.estimate.given import given

if TYPE_CHECKING:
    from collections.abc import Collection

    from serai.estimate import Estimate
    from serai.network import Network

GRID = frozenset({"buses", "lines", "transformers", "branches", "generators", "loads", "shunts", "hvdc_links"})


@dataclass(frozen=True, eq=False)
class Reach:
    """What the forger of some meters can do.

    invisible   (quantity, element) of the state that he can move without any trace, in the order of the case
    directions  in how many independent ways
    visible     (quantity, element) -> standard deviation, SI, with which the true meters tell the power of a gas-fired
                unit or an electric drive: a forgery that moves it by several of them is seen
    honest      the estimate from the true meters alone
    """

    invisible: tuple[tuple[str, str], ...]
    directions: int
    visible: dict[tuple[str, str], float]
    honest: Estimate

    def __repr__(self) -> str:
        """Say it in one line."""
        return (
            f"<reach of a forger: {self.directions} ways to move {len(self.invisible)} quantities unseen; "
            f"{len(self.visible)} units and drives give him away>"
        )


def reach(
    network: Network, readings: Any, *, forged: Collection[str] = GRID, estimator: Estimator | None = None
) -> Reach:
    """Return what a forger of all meters of some kinds of elements can move unseen.

    readings   one scan, as `estimate` takes it
    forged     kinds of elements whose meters he holds; the grid's, if not said
    estimator  one kept from scan to scan

    Errors as `estimate` raises them.
    """
    found = given(network, readings)
    if estimator is None:
        estimator = Estimator(network, found.meters)
        estimator.run(found)  # lays the matrix out for the sigmas of all meters, the forged ones too
    kept = copy(estimator)
    kept.memory = Memory.of(len(kept.meters))
    mine = [k for k, m in enumerate(found.meters) if network.kind_of(m.where) not in forged]
    columns = {c: [getattr(found, c)[k] for k in mine] for c in ("meters", "values", "sigmas", "times")}
    honest = kept.run(replace(found, **columns))
    ways = honest._sight.directions  # noqa: SLF001 - in how many ways the rest of the state can move unseen
    return Reach(honest.unobservable, ways, _told(network, honest), honest)


def _told(network: Network, honest: Estimate) -> dict[tuple[str, str], float]:
    """Return how well gas alone tells the power of plants and drives; what it does not tell is left out."""
    plants, drives = network.active("plants"), network.active("drives")
    asked = [("active_power", str(g)) for g in plants["generator"]] if len(plants) else []
    if len(drives):
        electric = drives["kind"] == "electric motor"
        asked += [("drive_power", str(name)) for name in drives["compressor"][electric]]
    sigmas = {key: honest.sigma(*key) for key in asked}
    return {key: sigma for key, sigma in sigmas.items() if sigma < inf}
