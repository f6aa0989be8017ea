# SPDX-License-Identifier: Apache-2.0
"""20,000 frames that no station would send; `benchmarks/iec104_fuzz.py` sends a million."""

import asyncio

from serai.telemetry.iec104.faults import Violation
from telemetry.iec104.fuzzing import fuzz


def test_fuzzed_frames_neither_crash_nor_hang_nor_grow():
    found = asyncio.run(fuzz(20_000, seed=1))
    assert found["longest_s"] < 2.0
    assert found["memory_mb"][-1] - found["memory_mb"][1] < 30.0
    for side in ("field", "room"):
        counts = found[side]
        assert counts["I frames received"] > 3000
        met = {v for v in Violation if counts[f"violation: {v}"]}
        wanted = {Violation.START, Violation.LENGTH, Violation.CONTROL, Violation.SEND_NUMBER, Violation.OBJECTS}
        assert met >= wanted | {Violation.UNKNOWN_TYPE, Violation.UNASKED, Violation.DIRECTION}
        assert not [n for n in counts if "answering failed" in n]
    assert found["room"]["points received"] > 1000
    assert found["field"]["commands done"] > 10
