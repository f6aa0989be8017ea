# SPDX-License-Identifier: Apache-2.0
"""Leaks in moving gas: found in time, placed, sized, without false alarms; beside it the volume balance.

The truth is `leaks_truth.World`: finer cells and steps, pipes off by up to 3 %, another temperature and composition,
jittering clocks, biased and noisy meters, units that start and stop. The watch (`serai.diagnose.leaks`) knows the case
as it stands in its tables. Limits come from clean days of worlds 100.., tests from worlds 200..: no seed is shared.

    python benchmarks/leaks.py [--json] [--short] [--case turkmenistan] [--case gaslib-135] [--folder F]

Rows: for each size the share of leaks found in time, their size and place errors; false alarms on clean days; one dead
meter; cost of a scan; the same for the volume balance. `bound` is what the readings can tell at all: the share of the
same leaks that an ideal test with the same budget would find in time (signatures exact, innovations white, size known
to be positive), and the errors of place and size that the information matrix leaves nine times in ten (Cramer and
Rao). `--short`: a few runs on Turkmenistan, some minutes.
Exit status 1 when a bar is missed.
"""

import argparse
import copy
import json
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from leaks_cases import CASES, lines
from leaks_truth import STEP, World, read
from scipy.stats import norm

from serai.diagnose.leaks import RELEASE, Watch
from serai.diagnose.sequential import BLOCK, Lesson, Signatures, course, untaught, windows
from serai.diagnose.volume_balance import BalanceLimits, VolumeBalance
from serai.estimate.moving import Moving

SCAN = 60.0
LEAKS = ((0.05, 10), (0.02, 60), (0.01, 360), (0.005, 1440))  # share of the line's flow, minutes until it must be found
LOOK = 60  # minutes that every leak is watched at least: place and size are those at the end
BUDGET = 0.1  # false alarms a month
BURN = 30  # h of clean readings before anything counts
WARM = 24 * 60  # scans of these in which the filter settles
CALIBRATION, TEST = 100, 200


@dataclass
class Plan:
    """How much is run."""

    worlds: int = 5
    runs: int = 10  # in each world
    clean: float = 44.0  # h after the burn-in: 5 x 10 x 44 h are 91.7 days
    dead: int = 2  # runs of each world with a dead meter

    @property
    def spare(self):
        """Cores for each world."""
        return (os.cpu_count() or 1) // self.worlds


SHORT = Plan(worlds=2, runs=3, clean=24.0, dead=1)


class Desk:
    """What one process holds: the case, its filter, its signatures."""

    def __init__(self, name):
        self.case = CASES[name]()
        self.moving = Moving(self.case.net, self.case.flows, self.case.pressures, given=self.case.meters)
        self.signatures = Signatures(self.moving)
        self.fresh = copy.deepcopy(self.moving.state)
        tags = {m.tag: k for k, m in enumerate(self.case.meters)}
        self.order = np.array([tags[t] for t in self.moving.tags])
        self.balance = VolumeBalance(self.moving)
        self.lines = lines(self.case)

    def filter(self, readings, state=None):
        """Return whitened innovations (n_scan, n_meter) and the state after them."""
        self.moving.state = copy.deepcopy(self.fresh if state is None else state)
        nu = np.array([self.moving.scan(row).innovation for row in readings])
        return self.signatures.whitened(nu), self.moving.state

    def readings(self, exact, seed):
        return read(self.case, exact, seed)[:, self.order]


def apart(work, jobs, spare):
    """Return [work(job)], in forked processes where cores are spare: they share what this process holds already."""
    if spare < 2:
        return [work(job) for job in jobs]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(spare, mp_context=context, initializer=_hold, initargs=(work,)) as pool:
        return list(pool.map(_do, jobs))


_held = []


def _hold(work):
    _held[:] = [work]


def _do(job):
    return _held[0](job)


_desks = {}


def desk(name):
    if name not in _desks:
        _desks.clear()
        _desks[name] = Desk(name)
    return _desks[name]


def place_leaks(d, plan, seed):
    """Draw for each run a line that carries enough, a place on it and the flow there: [(pipe, share, kg/s, length)]."""
    r = np.random.default_rng(seed)
    chosen = [line for line in d.lines if line.loaded]
    out = []
    for _ in range(plan.runs):
        line = chosen[int(r.integers(len(chosen)))]
        pipe, share = line.at(r.uniform(0.05, 0.95))
        out.append((pipe, round(share, 4), abs(d.case.along[pipe]), line))
    return out


def calibrate(name, plan, number, folder):
    """Run the clean days of one world; keep their whitened innovations and balances in a file; return its name."""
    file = Path(folder) / f"{name} clean{number}.npz"
    if file.exists():
        return str(file)
    d = desk(name)
    world = World(d.case, CALIBRATION + number)
    exact, _ = world.run(world.plan(plan.runs, 1000 + number, BURN + plan.clean))

    def one(k):
        z = d.readings(exact[k], ((number, k, 1), (number, k, 2)))
        return d.filter(z)[0].astype(np.float32), d.balance.imbalance(z)

    ys, lost = zip(*apart(one, range(plan.runs), plan.spare), strict=True)
    written = file.with_suffix(".part.npz")
    np.savez(written, y=np.array(ys), lost=np.array(lost))
    written.rename(file)
    return str(file)


def learn(name, files, spreads=None):
    """Return the lesson of some files: spreads in the first pass, largest scores in the second."""
    d, lesson = desk(name), Lesson(scan=SCAN)
    if spreads is not None:
        lesson.spreads = spreads
    for file in files:
        for y in np.load(file)["y"]:
            if spreads is None:
                lesson.spread(d.signatures, y, WARM)
            else:
                lesson.largest(d.signatures, y, WARM)
    return lesson


def balance_limits(d, files, budget):
    """Return the limits of the volume balance by the same clean days and the same budget."""
    lost = np.concatenate([np.load(f)["lost"] for f in files])
    warm = WARM // BLOCK
    sigma = np.maximum(np.array([d.balance.steadied(x)[warm:].std(0) for x in lost]).mean(0), 1e-3)
    span = 36
    top = np.concatenate([
        e[: len(e) // span * span].reshape(-1, span).max(1)
        for e in (d.balance.evidence(x, sigma)[warm:].max(1) for x in lost)
    ])  # fmt: skip
    beta = top.std(ddof=1) * np.sqrt(6.0) / np.pi
    share = budget * span * BLOCK * SCAN / (30 * 86400.0)
    return BalanceLimits(sigma, float(top.mean() - 0.5772 * beta - beta * np.log(-np.log1p(-share))))


def test(name, plan, number, folder, levels):
    """Run one world of the test, unless the folder has it; return clean alarms, and a record of every leak."""
    file = Path(folder) / f"{name} test{number}.pickle"
    if not file.exists():
        written = file.with_suffix(".part")
        written.write_bytes(pickle.dumps(tested(name, plan, number, *levels)))
        written.rename(file)
    return pickle.loads(file.read_bytes())  # noqa: S301 - written by this program


def tested(name, plan, number, limits, old):
    """Run one world of the test; return clean alarms, and a record of every leak."""
    d = desk(name)
    leaks = place_leaks(d, plan, 5000 + number)
    world = World(d.case, TEST + number, [(p, s) for p, s, *_ in leaks])
    hours = max(plan.clean, LEAKS[-1][1] / 60.0 + 0.2)
    u, ratios = world.plan(plan.runs, 2000 + number, BURN + hours)
    cut = round(BURN * 3600.0 / STEP)
    exact, ends = world.run((u[:cut], ratios[:cut]))
    seeds = [((number, k, 3), (number, k, 4)) for k in range(plan.runs)]
    days = u, ratios, cut, ends, seeds
    burn = [d.readings(exact[k], s) for k, s in enumerate(seeds)]
    warm = apart(d.filter, burn, plan.spare)
    begin(d, *warm[0][::-1], limits)  # laid out once, before it is shared
    record = {"clean": _clean(d, world, plan, days, (burn, warm, limits, old)), "leaks": []}
    for size, minutes in LEAKS:
        n = cut + round((max(minutes, LOOK) + 10) * 60.0 / STEP)
        begun = [(f"leak {p} {s:.4f}", size * flow, 0) for p, s, flow, _ in leaks]
        exact, _ = world.run((u[cut:n], ratios[cut:n]), ends, begun)
        jobs = [
            ((size, minutes, pipe, share, size * flow, line), exact[k], k)
            for k, (pipe, share, flow, line) in enumerate(leaks)
        ]

        def one(job):
            truth, exact, k = job
            z = d.readings(exact, (seeds[k][0], (number, k, 5, truth[1])))
            return _leak(d, truth, z, (burn[k], *warm[k]), (limits, old))

        record["leaks"] += apart(one, jobs, plan.spare)
    record["dead"] = _dead(d, world, days, leaks[: plan.dead], (burn, limits, plan.spare))
    return record


def alarms(top, level):
    """Count alarms as the watch does: one begins above the level and is over when its score has fallen far."""
    held = np.lib.stride_tricks.sliding_window_view(top, BLOCK).max(1)  # long windows speak at every tenth scan
    count, on = 0, False
    for score in held:
        count += int(score > level and not on)
        on = score > (RELEASE * level if on else level)
    return count


def _clean(d, world, plan, days, begun):
    hours = plan.clean
    u, ratios, cut, ends, seeds = days
    burn, warm, *limits = begun
    n = cut + round(hours * 3600.0 / STEP)
    exact, _ = world.run((u[cut:n], ratios[cut:n]), ends)
    out = {"days": 0.0, "alarms": 0, "balance": 0, "top": [], "chi2": []}

    def one(k):
        z = d.readings(exact[k], (seeds[k][0], (*seeds[k][1], 9)))
        y, _ = d.filter(z, warm[k][1])
        top = course(d.signatures, limits[0].spread, np.concatenate([warm[k][0], y]))[len(burn[k]) :]
        lost = d.balance.imbalance(np.concatenate([burn[k], z]))
        e = d.balance.evidence(lost, limits[1].sigma).max(1)[len(burn[k]) // BLOCK :] > limits[1].level
        return top, float((y**2).mean()), int(e[0]) + int((e[1:] & ~e[:-1]).sum())

    for top, chi2, balance in apart(one, range(len(burn)), plan.spare):
        out["alarms"] += alarms(top, limits[0].level(BUDGET))
        out["top"].append(float(top.max()))
        out["chi2"].append(chi2)
        out["balance"] += balance
        out["days"] += hours / 24.0
    return out


def _leak(d, truth, z, begun, limits):
    """Watch one leak until its time is up, an hour at least; return what was found, and what could have been."""
    size, minutes, pipe, share, rate, line = truth
    burn, y0, state = begun
    watch = begin(d, state, y0, limits[0])
    found, finding, wrong, cost = None, None, "", []
    for t, row in enumerate(z, start=1):
        begin_ = time.perf_counter()
        now = watch.values(row)
        cost.append(time.perf_counter() - begin_)
        if now and now[0].kind.startswith("leak"):
            found, finding = found or t, now[0]
        elif now and found is None:
            wrong = now[0].kind
        if t >= max(minutes, LOOK):
            break
    lost = d.balance.imbalance(np.concatenate([burn, z]))
    e = d.balance.evidence(lost, limits[1].sigma).max(1)[len(burn) // BLOCK :] > limits[1].level
    at = np.flatnonzero(e)
    record = {"size": size, "minutes": minutes, "pipe": pipe, "line": line.name, "rate": rate, "found": found,
              "wrong": wrong, "balance": int((at[0] + 1) * BLOCK) if len(at) else None, "cost": cost}  # fmt: skip
    if finding is not None:
        record["size_error"] = abs(finding.size / rate - 1.0)
        record["place_error"] = d.lines[0].distance(d.case, (pipe, share), (finding.pipe, finding.share)) / line.length
        record["said"] = f"{finding.pipe} {finding.share:.2f}, {finding.size:.1f} kg/s"
    record.update(bound(d, truth, untaught(d.signatures).level(BUDGET)))
    return record


def begin(d, state, y0, limits):
    """Return a watch that has seen the clean readings before."""
    watch = Watch.__new__(Watch)
    watch.__dict__.update(d.watch.__dict__ if hasattr(d, "watch") else Watch(d.moving, limits, budget=BUDGET).__dict__)
    if not hasattr(d, "watch"):
        d.watch = copy.copy(watch)
    watch.limits, watch.level = limits, limits.level(BUDGET)
    watch.moving.state = copy.deepcopy(state)
    watch.memory = copy.deepcopy(d.watch.memory)
    m = watch.memory
    m.count, m.held = len(y0), []
    m.recent[:] = y0[-len(m.recent) :]
    sums = y0[: len(y0) // BLOCK * BLOCK].reshape(-1, BLOCK, y0.shape[1]).sum(1) / np.sqrt(BLOCK)
    m.sums[:] = sums[-len(m.sums) :]
    m.open_sum[:] = 0.0
    return watch


def bound(d, truth, level):
    """Return what an ideal test would do: its power within the time, and by the Cramer-Rao bound the standard
    deviations of place and size (shares of the line and of the rate, both unknown) when they are read.
    """
    _, minutes, pipe, share, rate, line = truth
    s, net = d.signatures, d.moving.pipes
    cells = net.cuts()[pipe]
    k = min(int(share * cells), cells - 1)
    edge = next(
        e for e in net.system.gas.edges if e.element == pipe and (e.name == pipe or e.name.endswith(f"[cell {k + 1}]"))
    )
    part = share * cells - k
    best, sigma, sized = 0.0, np.inf, np.inf
    for n in windows():
        if n > max(minutes, LOOK):
            continue
        g = s.bank(n)[:, [edge.start, edge.end]].astype(float)
        mid = (1.0 - part) * g[:, 0] + part * g[:, 1]
        slope = (g[:, 1] - g[:, 0]) / (net.network["pipes"]["length"][net.network["pipes"].row(pipe)] / cells)
        root = np.sqrt(mid @ mid)
        if n <= minutes:
            best = max(best, float(norm.sf(level - rate * root)))
        J = np.array([[mid @ mid, mid @ slope * rate], [mid @ slope * rate, slope @ slope * rate**2]])
        inverse = np.linalg.inv(J)
        sigma, sized = min(sigma, float(np.sqrt(inverse[1, 1]))), min(sized, float(np.sqrt(inverse[0, 0])))
    return {"power": best, "place_sigma": sigma / line.length, "size_sigma": sized / rate}


def _dead(d, world, days, leaks, begun):
    """Kill a flow meter six hours before the end of the burn-in, another in each run, and watch a leak of 2 %."""
    u, ratios, cut, ends, seeds = days
    burn, limits, spare = begun
    n = cut + round(70 * 60.0 / STEP)
    size, minutes = LEAKS[1]
    begun_ = [(f"leak {p} {s:.4f}", size * flow, 0) for p, s, flow, _ in leaks]
    few = len(leaks)
    exact, _ = world.run((u[cut:n, :few], ratios[cut:n, :few]), ends[:few], begun_)
    r = np.random.default_rng(seeds[0][0])
    meters = d.moving.layout.meters
    usual = np.array([abs(d.case.flows.get((m.quantity, m.where), 0.0)) for m in meters])
    large = np.argsort(-usual)[:20]
    drawn = [int(large[int(r.integers(len(large)))]) for _ in range(few)]

    def one(k):
        meter = drawn[k]
        moving = copy.copy(d.moving)
        moving.state = copy.deepcopy(d.fresh)
        z = np.concatenate([burn[k], d.readings(exact[k], (seeds[k][0], (seeds[k][0][0], k, 6)))])
        z[len(burn[k]) - 6 * 60 :, meter] = np.nan
        watch = Watch(moving, limits, budget=BUDGET)
        found, finding, false = None, None, 0
        for t, row in enumerate(z, start=1 - len(burn[k])):
            now = watch.values(row)
            leak = bool(now) and now[0].kind.startswith("leak")
            false += int(bool(now) and t <= 0)
            if leak and 0 < t <= minutes:
                found, finding = found or t, now[0]
        record = {"meter": moving.tags[meter], "found": found, "false": false, "pipe": leaks[k][0]}
        if finding is not None:
            pipe, share, flow, line = leaks[k]
            record["size_error"] = abs(finding.size / (size * flow) - 1.0)
            record["place_error"] = line.distance(d.case, (pipe, share), (finding.pipe, finding.share)) / line.length
        return record

    return apart(one, range(few), spare)


# ----------------------------------------------------------------------- rows


def rows_of(name, records, lesson):
    """Return the rows of one case."""
    leaks = [x for r in records for x in r["leaks"]]
    out = []
    for size, minutes in LEAKS:
        mine = [x for x in leaks if x["size"] == size]
        found = [x for x in mine if x["found"] is not None and x["found"] <= minutes]
        share = len(found) / len(mine)
        what = f"{name}: leak of {100 * size:g} %"
        ideal = float(np.mean([x["power"] for x in mine]))
        old = np.mean([x["balance"] is not None and x["balance"] <= minutes for x in mine])
        ever = [x for x in mine if x["found"] is not None]
        median = float(np.median([x["found"] for x in ever])) if ever else None
        out.append(row(f"{what} found within {minutes} min", share, 0.9, share >= 0.9, bound=ideal, runs=len(mine),
                       balance=float(old), median_min=median))  # fmt: skip
        for key, label, bar in (("size_error", "size error", 0.2), ("place_error", "place error", 0.05)):
            if key == "place_error" and size < 0.02:
                continue
            errors = np.array([x[key] for x in ever])
            figure = float(np.quantile(errors, 0.9)) if len(errors) else None
            extra = {"median": float(np.median(errors))} if len(errors) else {}
            bounds = [1.645 * x["place_sigma" if key == "place_error" else "size_sigma"] for x in mine]
            extra["bound"] = float(np.quantile(bounds, 0.9))
            out.append(
                row(
                    f"{what}, {label} after {max(minutes, LOOK)} min, nine of ten",
                    figure,
                    bar,
                    figure is not None and figure <= bar,
                    of=len(ever),
                    **extra,
                )
            )
    clean = [r["clean"] for r in records]
    days, alarms = sum(c["days"] for c in clean), sum(c["alarms"] for c in clean)
    top = max(max(c["top"]) for c in clean)
    out.append(row(f"{name}: false alarms in {days:.0f} clean days", alarms, 0, alarms == 0, highest=top,
                   level=lesson.level(BUDGET), balance=sum(c["balance"] for c in clean)))  # fmt: skip
    dead = [x for r in records for x in r["dead"]]
    share = float(np.mean([x["found"] is not None for x in dead])) if dead else None
    out.append(row(f"{name}: one flow meter dead, leak of 2 % found within 60 min", share, 0.9,
                   bool(dead) and share >= 0.9, runs=len(dead), false=sum(x["false"] for x in dead)))  # fmt: skip
    cost = np.concatenate([x["cost"] for x in leaks])
    out.append(row(f"{name}: scan, median [s]", float(np.median(cost)), 0.1, np.median(cost) < 0.1,
                   p99=float(np.quantile(cost, 0.99))))  # fmt: skip
    return out


def row(work, figure, bar, holds, **more):
    return {"work": work, "figure": figure, "bar": bar, "holds": bool(holds), **more}


def run(name, plan, processes, folder):
    """Run one case; return its rows and every record. What the folder holds already is not run again."""
    processes = min(processes, plan.worlds)
    with ProcessPoolExecutor(processes) as pool:
        files = list(pool.map(calibrate, *zip(*((name, plan, k, folder) for k in range(plan.worlds)), strict=True)))
        parts = list(pool.map(learn, [name] * len(files), [[f] for f in files]))
        whole = Lesson(scan=SCAN)
        for part in parts:
            for n, total in part.squares.items():
                whole.squares[n] = whole.squares.get(n, 0.0) + total
                whole.counts[n] = whole.counts.get(n, 0) + part.counts[n]
            whole.days += part.days
        whole.close()
        parts = list(pool.map(learn, [name] * len(files), [[f] for f in files], [whole.spreads] * len(files)))
        whole.maxima = [m for part in parts for m in part.maxima]
        limits = whole.limits()
        old = balance_limits(desk(name), files, BUDGET)
        jobs = list(zip(*((name, plan, k, folder, (limits, old)) for k in range(plan.worlds)), strict=True))
        records = list(pool.map(test, *jobs))
    return rows_of(name, records, limits), records, limits


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each row")
    parser.add_argument("--short", action="store_true", help="a few runs, some minutes")
    parser.add_argument("--case", action="append", choices=sorted(CASES), help="default: both, Turkmenistan if short")
    parser.add_argument("--records", type=Path, help="write every single leak here, as JSON")
    parser.add_argument("--worlds", type=int)
    parser.add_argument(
        "--folder", type=Path, help="keep finished worlds here; the same command again goes on from them"
    )
    arguments = parser.parse_args()
    if arguments.folder:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    plan = SHORT if arguments.short else Plan()
    plan.worlds = arguments.worlds or plan.worlds
    names = arguments.case or (["turkmenistan"] if arguments.short else sorted(CASES, reverse=True))
    ok = True
    for name in names:
        with tempfile.TemporaryDirectory() as fresh:
            rows, records, limits = run(name, plan, os.cpu_count() or 1, arguments.folder or fresh)
        for r in rows:
            ok = ok and r["holds"]
            print(json.dumps(r) if arguments.json else _text(r), flush=True)
        if arguments.records:
            told = [{k: v for k, v in x.items() if k != "cost"} for r in records for x in r["leaks"]]
            spread = {n: np.quantile(s, [0.5, 0.9, 1.0]).tolist() for n, s in limits.spread.items()}
            kept = {"leaks": told, "dead": [x for r in records for x in r["dead"]], "spread": spread,
                    "clean": [r["clean"] for r in records], "level": limits.level(BUDGET), "mu": limits.mu,
                    "beta": limits.beta}  # fmt: skip
            arguments.records.with_suffix(f".{name}.json").write_text(json.dumps(kept, indent=1, default=str))
    return 0 if ok else 1


def _text(r):
    more = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in r.items()
                     if k not in ("work", "figure", "bar", "holds"))  # fmt: skip
    figure = "none" if r["figure"] is None else f"{r['figure']:.3g}"
    return f"{'holds ' if r['holds'] else 'SHORT '} {r['work']}: {figure} (bar {r['bar']}){'; ' + more if more else ''}"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
