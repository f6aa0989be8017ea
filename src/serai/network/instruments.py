# SPDX-License-Identifier: Apache-2.0
"""The instruments of a case: how well each reports what."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serai.network.network import Network


@dataclass(frozen=True, slots=True)
class Instrument:
    """One row of `instruments.csv`, SI.

    tag, quantity, where   its name, what it reports, of which element
    unit                   suffix of the unit in which the reading is sent
    low, high              span; nan = not said
    sigma                  part of the standard deviation that no reading changes
    share                  part that grows with the reading
    scan                   [s] between readings
    station, protocol, address   by which way it reports
    """

    tag: str
    quantity: str
    where: str
    unit: str
    low: float
    high: float
    sigma: float
    share: float
    scan: float
    station: str
    protocol: str
    address: str

    def sigma_at(self, value: float) -> float:
        """Return the standard deviation of a reading of `value`: both parts, independent of each other."""
        return hypot(self.sigma, self.share * value)


def instruments(network: Network) -> list[Instrument]:
    """Return the instruments in service, in the order of the table."""
    t = network.active("instruments")
    columns = (
        "name", "quantity", "where", "unit", "range_min", "range_max", "sigma", "sigma_of_reading", "scan",
        "station", "protocol", "address",
    )  # fmt: skip
    return [Instrument(*row) for row in zip(*(t[c].tolist() for c in columns), strict=True)]
