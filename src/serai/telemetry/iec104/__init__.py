# SPDX-License-Identifier: Apache-2.0
"""IEC 60870-5-104: frames, link, controlled and controlling station, TLS.

`ControlledStation` is the field's side (a server), `ControllingStation` the control room's (a client). Both count
what happens under names and show every frame and violation to a `watch`, if one is given.
"""

from serai.telemetry.iec104.commands import Request
from serai.telemetry.iec104.controlled import ControlledStation
from serai.telemetry.iec104.controlling import ControllingStation
from serai.telemetry.iec104.faults import LinkLost, Malformed, NoAnswer, PeerRefused, Refused, Violation
from serai.telemetry.iec104.image import InformationObject
from serai.telemetry.iec104.link import Seen, Settings
from serai.telemetry.iec104.points import Points
from serai.telemetry.iec104.tls import Credentials, Peer
from serai.telemetry.iec104.types import BROADCAST, Cause, Sizes, TypeId

__all__ = [
    "BROADCAST",
    "Cause",
    "ControlledStation",
    "ControllingStation",
    "Credentials",
    "InformationObject",
    "LinkLost",
    "Malformed",
    "NoAnswer",
    "Peer",
    "PeerRefused",
    "Points",
    "Refused",
    "Request",
    "Seen",
    "Settings",
    "Sizes",
    "TypeId",
    "Violation",
]
