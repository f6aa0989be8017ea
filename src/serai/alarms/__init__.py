# SPDX-License-Identifier: Apache-2.0
"""Alarms after ISA-18.2 and IEC 62682: what a person must know and do now, and nothing else."""

from serai.alarms.people import Alarms
from serai.alarms.rationale import Condition, Rationale, Record, rationale
from serai.alarms.states import Priority, State
from serai.alarms.view import Alarm, Transition

__all__ = ["Alarm", "Alarms", "Condition", "Priority", "Rationale", "Record", "State", "Transition", "rationale"]
