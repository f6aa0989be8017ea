# SPDX-License-Identifier: Apache-2.0
"""The published nominations of GasLib: status, time, worst violation, exact mismatch; and scaled ones that cannot be.

Bars: GasLib-11, 24, 40 and 135 decided, GasLib-582 decided within 60 s, GasLib-134 on 30 days (the first 30 of November
2011; a day that does not balance is refused by name, which is an answer), every state's mismatch at most 1e-6. Decided
means feasible, with set-points that the exact laws accept, or infeasible, with a proof.

    python benchmarks/nomination.py [--json] [--short] [--data FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import serai as sr
from serai.dispatch.nominate import nominate
from serai.errors import BadNomination

NETS = (
    ("GasLib-11", ".zip"),
    ("GasLib-24", ".zip"),
    ("GasLib-40", ".zip"),
    ("GasLib-135", ".zip"),
    ("GasLib-582", ".net"),
)
BAR_SECONDS, MISMATCH, LIMIT = 60.0, 1e-6, 120.0
DAYS = [f"Nominations-134/2011-11-{day:02d}.scn" for day in range(1, 31)]
SCALED = (("GasLib-11", ".zip", 2.0), ("GasLib-24", ".zip", 2.0), ("GasLib-40", ".zip", 1.5))  # infeasible by a proof


def checked(net, scale=1.0):
    """Return the row of one nomination."""
    flows = {k.where: scale * k.value for k in net.knowns() if k.quantity in ("supply", "withdrawal")}
    begin = time.perf_counter()
    try:
        found = nominate(net, flows, seconds=LIMIT)
    except BadNomination as error:
        return {"status": "refused", "seconds": time.perf_counter() - begin, "told": str(error)}
    row = {"status": found.status, "seconds": found.seconds, "tried": found.tried}
    if found.result is not None and found.status != "infeasible":
        row |= {"violation": found.violation, "mismatch": found.mismatch, "setpoints": len(found.setpoints)}
    if found.proof is not None:
        row |= {"bound": found.proof.violation, "told": found.proof.reason, "irreducible": found.proof.irreducible}
    return row


def holds(name, row, scale):
    """Whether a row meets its bar."""
    if row["status"] == "refused":
        return "does not balance" in row["told"]
    wanted = row["status"] == ("infeasible" if scale > 1.0 else "feasible")
    sound = row.get("mismatch", 0.0) <= MISMATCH
    return wanted and sound and (name != "GasLib-582" or row["seconds"] <= BAR_SECONDS)


def rows(folder, *, short):
    """Yield (work, row, whether it holds)."""
    nominate(sr.read("two_pipes"))  # what a process does once is not part of any row
    for name, ending in NETS:
        row = checked(sr.read(folder / f"{name}{ending}"))
        yield name, row, holds(name, row, 1.0)
    for name, ending, scale in SCALED:
        row = checked(sr.read(folder / f"{name}{ending}"), scale)
        yield f"{name} x {scale:g}", row, holds(name, row, scale)
    for day in DAYS[: 5 if short else None]:
        row = checked(sr.read(folder / "GasLib-134.zip", scenario=day))
        yield f"GasLib-134 {Path(day).stem}", row, holds("GasLib-134", row, 1.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SERAI_DATA", "../shared/data")))
    given = parser.parse_args()
    short = []
    for work, row, good in rows(given.data / "gas" / "gaslib", short=given.short):
        if given.json:
            bar = "infeasible" if " x " in work else "feasible"
            print(json.dumps({"work": work, "figure": row, "bar": bar, "holds": good}), flush=True)
        else:
            numbers = "  ".join(f"{k} {row[k]:.3g}" for k in ("violation", "mismatch", "bound") if k in row)
            print(f"{work:<24} {row['status']:<11} {row['seconds']:6.2f} s  {numbers}", flush=True)
        if not good:
            short.append(work)
    if short:
        print(f"short of the bar: {', '.join(short)}", file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
