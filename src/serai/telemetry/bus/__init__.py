# SPDX-License-Identifier: Apache-2.0
"""The bus: batches of readings, at least once, to several subscribers with a position each.

`InProcess` needs nothing; `serai.telemetry.bus.jetstream.connect` gives the same over NATS JetStream, for several
processes or machines.
"""

from __future__ import annotations

from serai.telemetry.bus.batch import Batch, Numbered, from_bytes, to_bytes
from serai.telemetry.bus.bus import Bus, Delivery, InProcess, Subscription

__all__ = ["Batch", "Bus", "Delivery", "InProcess", "Numbered", "Subscription", "from_bytes", "to_bytes"]
