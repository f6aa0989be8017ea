# SPDX-License-Identifier: Apache-2.0
"""A million frames that no station would send, into both stations of IEC 60870-5-104.

No crash, no stream that takes longer than a second, and after the first tenth no growth of memory beyond 5 MB.

    python benchmarks/iec104_fuzz.py [--json] [--frames 1000000] [--seed 7] [--short]
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from telemetry.iec104.fuzzing import fuzz

GROWTH, LONGEST = 5.0, 1.0  # MB, s


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--short", action="store_true", help="100,000 frames")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    frames = 100_000 if given.short else given.frames
    begun = time.perf_counter()
    found = asyncio.run(fuzz(frames, given.seed))
    took = time.perf_counter() - begun
    grown = max(found["memory_mb"][1:]) - found["memory_mb"][0]
    failed = sum(n for side in ("field", "room") for name, n in found[side].items() if "answering failed" in name)
    figures = (
        ("growth of memory", round(grown, 2), GROWTH, "MB"),
        ("longest stream", round(found["longest_s"], 3), LONGEST, "s"),
        ("answers that failed", failed, 0, ""),
    )
    rows = [{"work": f"{frames:,} fuzzed frames: {w}", "figure": f, "bar": b, "unit": u} for w, f, b, u in figures]
    for row in rows:
        row["holds"] = row["figure"] <= row["bar"]
        print(json.dumps(row) if given.json else f"{row['work']:50} {row['figure']} {row['unit']} (bar {row['bar']})")
    if not given.json:
        kinds = sorted({name for side in ("field", "room") for name in found[side] if name.startswith("violation")})
        print(f"{took:.0f} s; named violations met: {len(kinds)}")
    sys.exit(not all(row["holds"] for row in rows))


main()
