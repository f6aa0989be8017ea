# SPDX-License-Identifier: Apache-2.0
"""The export plan of Turkmenistan: seconds to a proven gap, and the same model and data built and solved by linopy.

Rows of work, each with its bar:

  plan       15 years x 4 seasons x 100 futures, 11 corridors, open contracts, bounds on shares of routes and blocs, N-1
             of every corridor for firm exports: to 0.1 % within 60 s. Once for the mean, once for half mean, half tail.
  frontier   25 points of risk and bound to 0.5 % within 10 minutes, by two processes; a point may take 60 s
  linopy     the same plan with fewer futures, that linopy can finish: built from the tables and solved to 0.005 % by
             both; the objectives must agree to 1e-4. linopy runs HiGHS on two threads, as a user would call it.
  linopy, whole   with all futures, to the same 0.1 % as ours, stopped after --limit seconds: its gap and its bound then

    python benchmarks/plan.py [--json] [--short] [--futures N] [--small N] [--limit S]

`--short` leaves the frontier and linopy's whole run out. A plan of two futures first loads what is compiled, and its
time is printed. Exit status 1 when a figure falls short or answers differ.
"""

import argparse
import json
import os
import sys
import time
from contextlib import contextmanager

import linopy

from serai.plan.case import read_planning
from serai.plan.export import to_linopy
from serai.plan.frontier import RISKS, frontier, workers
from serai.plan.neutrality import Neutrality
from serai.plan.plan import Plan, plan
from serai.plan.problem import Problem
from serai.plan.scenarios import draw

CASE = "turkmenistan"
RULE = Neutrality(max_share={"route": 0.6, "bloc": 0.6}, survive="any one corridor", cover=0.6)
N_1 = Neutrality(survive="any one corridor", cover=0.6)
SECONDS, GAP = 60.0, 1e-3
POINTS_SECONDS, POINTS_GAP = 600.0, 5e-3
SAME, SAME_GAP = 1e-4, 5e-5
WANTED = 1.0


def show(row, *, as_json):
    """Print a row; return whether it holds."""
    holds = row.get("holds", row.get("agree", True) and row.get("ratio", WANTED) >= row.get("bar", 0.0))
    if as_json:
        print(json.dumps(row), flush=True)
    else:
        print(f"{'ok   ' if holds else 'SHORT'} " + ", ".join(f"{k} {v}" for k, v in row.items()), flush=True)
    return holds


def size(problem):
    """Say how large a problem is."""
    s = problem.scenarios
    return {
        "years": len(problem.years), "seasons": len(problem.days), "futures": s.count,
        "corridors": len(problem.case.corridors), "binaries": int(problem.allowed.sum()) + len(problem.open_contracts),
        "open_contracts": len(problem.open_contracts),
    }  # fmt: skip


def timed(work):
    """Return what work gives, its seconds, its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def to_the_gap(case, futures, risk):
    """Plan from the tables to a proven gap."""
    found, wall, cpu = timed(lambda: plan(case, neutrality=RULE, risk=risk, futures=futures, gap=GAP, seconds=SECONDS))
    return {
        "work": f"plan to {GAP:.1%}, risk {risk}", "figure": wall, "bar": SECONDS,
        "holds": found.gap <= GAP and wall <= SECONDS, "gap": found.gap, "cpu_s": cpu, "value": found.value,
        "bound": found.bound, "rounds": found.solved.rounds, "parts": found.solved.parts, "cores": os.cpu_count(),
        **size(found.problem),
    }  # fmt: skip


def all_points(case, futures):
    """Solve the frontier by two processes, one for each core; each takes the risks one after the other."""
    with workers(2) as processes:
        found, wall, _ = timed(
            lambda: frontier(
                case, neutrality=N_1, futures=futures, gap=POINTS_GAP, seconds=POINTS_SECONDS / 10.0, executor=processes
            )
        )
    short = [p for p in found.points if not p.gap <= POINTS_GAP]
    return {
        "work": f"frontier of {len(found.points)} points to {POINTS_GAP:.1%}", "figure": wall, "bar": POINTS_SECONDS,
        "holds": found.gap <= POINTS_GAP and wall <= POINTS_SECONDS, "gap": found.gap, "futures": futures,
        "points_short": [{"risk": p.risk, "share": p.share, "gap": p.gap} for p in short],
        "slowest_s": max(p.seconds for p in found.points), "sum_s": sum(p.seconds for p in found.points),
        "seconds": {f"risk {r}": sum(p.seconds for p in found.points if p.risk == r) for r in RISKS},
    }  # fmt: skip


@contextmanager
def own_words_as_errors():
    """Let what a solver prints by itself go to standard error: the rows are all that stands in the output."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def same_model(case, futures, gap, limit):
    """Build and solve one plan by both, each from the tables."""
    problem = Problem(case, draw(case, futures, seed=1))
    ours, mine, cpu = timed(lambda: plan(case, neutrality=RULE, futures=futures, gap=gap, seconds=limit))
    model, built, _ = timed(lambda: to_linopy(Plan(problem, RULE, 0.0, 0.1, ours.solved)))
    options = {"mip_rel_gap": gap, "time_limit": limit, "threads": 2, "output_flag": False}
    with own_words_as_errors():
        _, solved, _ = timed(lambda: model.solve("highs", io_api="direct", **options))
    value, (bound, theirs_gap) = float(model.objective.value or float("nan")), bound_of(model)
    return {
        "work": f"plan of {futures} futures to {gap:.3%}", "peer": f"linopy {linopy.__version__} with HiGHS",
        "ours_s": mine, "peer_s": built + solved, "ratio": (built + solved) / mine, "bar": WANTED,
        "agree": abs(value - ours.value) <= SAME * abs(value) and ours.gap <= gap, "ours": ours.value,
        "ours_bound": ours.bound, "ours_cpu_s": cpu, "peer_value": value, "peer_bound": bound, "peer_gap": theirs_gap,
        "peer_build_s": built, "peer_limit_s": limit, "peer_rows": model.ncons, "peer_columns": model.nvars,
        "cores": os.cpu_count(),
    }  # fmt: skip


def bound_of(model):
    """Return the dual bound and the gap of a solved linopy model."""
    info = model.solver_model.getInfo()
    return info.mip_dual_bound, info.mip_gap


def whole(case, futures, limit):
    """As `same_model` with all futures: linopy need not finish, but its bounds must not contradict ours."""
    row = same_model(case, futures, GAP, limit)
    slack = SAME * abs(row["ours"])
    found = row["peer_value"] == row["peer_value"]
    row["agree"] = row["ours"] <= abs(row["peer_bound"]) + slack and (
        not found or row["peer_value"] <= row["ours_bound"] + slack
    )
    row["peer_finished"] = bool(found and row["peer_gap"] <= GAP)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each row of work")
    parser.add_argument("--short", action="store_true", help="without the frontier and linopy's whole run")
    parser.add_argument("--futures", type=int, default=100)
    parser.add_argument("--small", type=int, default=5, help="futures of the plan that linopy finishes")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that linopy may take for the whole")
    arguments = parser.parse_args()
    case = read_planning(CASE)
    _, first, _ = timed(lambda: plan(case, neutrality=RULE, futures=2, gap=1e-2, seconds=SECONDS))
    if not arguments.json:
        print(f"first plan of a process, two futures, compiled parts loaded: {first:.1f} s")
    work = [lambda r=risk: to_the_gap(case, arguments.futures, r) for risk in (0.0, 0.5)]
    work.append(lambda: same_model(case, arguments.small, SAME_GAP, arguments.limit))
    if not arguments.short:
        work.append(lambda: all_points(case, arguments.futures))
        work.append(lambda: whole(case, arguments.futures, arguments.limit))
    good = [show(one(), as_json=arguments.json) for one in work]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
