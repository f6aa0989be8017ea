# SPDX-License-Identifier: Apache-2.0
"""What a ministry can check of an export plan: Monte Carlo in time, replay refuses and accepts, the back-test.

    python benchmarks/plan_checks.py --json [--short]

Rows: a 1,000-scenario Monte Carlo of a fixed plan (bar 5 s); a plan that transport accepts and the exact laws refuse;
the recommended plan, made anew with what the laws carry until they accept it (--short: three of its years); what it
would have lost in 2009, 2016, 2017, 2020 and 2023 against what history did. Exits with 1 when one falls short.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from serai.network import read
from serai.plan.carried import carried_plan
from serai.plan.montecarlo import monte_carlo, rule_of
from serai.plan.neutrality import Neutrality
from serai.plan.replay import replay

if TYPE_CHECKING:
    from serai.plan.plan import Plan
    from serai.plan.replay import Replay

BAR = 5.0  # s
RULE = Neutrality(max_share=0.45, survive="any one element", cover=1.0)
SHORT_YEARS = (2027, 2034, 2041)


def say(row: dict[str, Any], *, as_json: bool) -> bool:
    """Print a row; return whether it holds."""
    text = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
    print(json.dumps(row) if as_json else text, flush=True)
    return bool(row.get("holds", True))


def in_time(plan: Plan) -> dict[str, Any]:
    """Time a Monte Carlo of 1,000 futures, the arrays and the draw included, compiled code warm."""
    rule = rule_of(plan)
    monte_carlo(plan, 10, rule=rule)
    began = time.perf_counter()
    found = monte_carlo(plan, 1000, rule=rule)
    spent = time.perf_counter() - began
    return {"work": "Monte Carlo, 1,000 futures", "figure": spent, "unit": "s", "bar": BAR,
            "mean": float(found.value.mean()), "worst_tenth": found.worst, "holds": spent <= BAR}  # fmt: skip


def refused(first: Plan, tried: Replay) -> dict[str, Any]:
    """Tell what the laws refuse of the first plan, which its transport model carries."""
    named = list(dict.fromkeys(t.element for t in tried.trials if not t.carried))
    return {"work": "replay refuses a plan of transport alone", "figure": sum(not t.carried for t in tried.trials),
            "of": len(tried.trials), "elements": named, "value": first.value, "holds": not tried.accepted}  # fmt: skip


def accepted(last: Plan, tried: Replay, rounds: int) -> dict[str, Any]:
    """Tell whether the laws accept the plan of the last round."""
    return {"work": "replay accepts the recommended plan", "figure": sum(t.carried for t in tried.trials),
            "of": len(tried.trials), "rounds": rounds, "value": last.value, "gap": last.gap,
            "mismatch": max((t.mismatch for t in tried.trials if t.carried), default=float("nan")),
            "holds": tried.accepted}  # fmt: skip


def heard(made: Plan, tried: Replay) -> None:
    """Tell of a round on the way."""
    print(made, tried, *(f"{c.planned} {c.asked:.2f} -> {c.carried:.2f}" for c in tried.cuts), sep="\n  ",
          file=sys.stderr, flush=True)  # fmt: skip


def main() -> int:
    """Run every row; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    parser.add_argument("--short", action="store_true", help="fewer futures; three years are replayed in every round")
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    network = read("turkmenistan")
    years = SHORT_YEARS if given.short else ()
    rounds = carried_plan(
        "turkmenistan", rounds=given.rounds, network=network, years=years, neutrality=RULE, told=heard,
        futures=40 if given.short else 100, seconds=60.0,
    )  # fmt: skip
    last, tried = rounds[0]
    first, first_tried = rounds[-1]
    if years and tried.accepted:
        tried = replay(last, network)  # all years
    rows = [in_time(last), refused(first, first_tried), accepted(last, tried, len(rounds))]
    rows += [
        {"work": f"back-test of {year}", "history_lost_volume": r["history_lost"],
         "history_lost_revenue": r["history_revenue_lost"], "plan_lost_same_corridors": r["same_corridors"],
         "plan_lost_largest_neighbour": r["same_rank"], "neighbour": r["neighbour"]}
        for year, r in last.backtest().iterrows()
    ]  # fmt: skip
    held = [say(row, as_json=given.json) for row in rows]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
