# SPDX-License-Identifier: Apache-2.0
"""Jobs on the laws: steady state, transient, outages; each returns a result with units and a certificate."""

from serai.simulate.labelled import Result
from serai.simulate.limits import Break
from serai.simulate.outages import outages
from serai.simulate.replay import Replay, read_scenario, replay, scenarios
from serai.simulate.steady import steady
from serai.simulate.transient import transient

__all__ = ["Break", "Replay", "Result", "outages", "read_scenario", "replay", "scenarios", "steady", "transient"]
