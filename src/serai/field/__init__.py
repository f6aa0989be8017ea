# SPDX-License-Identifier: Apache-2.0
"""The field: simulated stations over a simulated network, with the faults of real ones.

`readings` gives what they would send without sockets, with the truth beside it; `Field` runs them as protocol servers.
"""

from serai.field.live import Field
from serai.field.recording import Recording, readings
from serai.field.scenario import (
    Forgery,
    Label,
    Leak,
    MeterFault,
    Metering,
    Operation,
    Scenario,
    Silence,
    Status,
    Theft,
    Truth,
)
from serai.field.scenario_file import field_scenarios, read_scenario

__all__ = [
    "Field",
    "Forgery", "Label", "Leak", "MeterFault", "Metering", "Operation", "Recording", "Scenario", "Silence", "Status",
    "Theft", "Truth", "field_scenarios", "read_scenario", "readings",
]  # fmt: skip
