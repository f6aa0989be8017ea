# SPDX-License-Identifier: Apache-2.0
"""Readings survive SIGKILL: the writer killed 200 times, the PostgreSQL and the NATS server 20 times each, at random.

After every kill of the writer the history is opened again: all batches that were acknowledged are in the ledger, at
most one more is, and sending the next one again stores it once. Every tenth time, and after each server, all rows
are compared with those that were sent, the ledger with the rows, every segment with its hash.

    python benchmarks/kill_ingest.py [--json] [--short] [--seed 1]

`--short` is a tenth of the kills. Exit status 1 when anything is lost, double or changed.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from serai.telemetry import historian
from serai.telemetry.bus.jetstream import connect
from telemetry.bus.local_nats import LocalNats
from telemetry.historian.kill_trials import kill_nats, kill_postgres, kill_writer
from telemetry.historian.local_postgres import LocalPostgres


def writer(folder, trials, seed):
    batches, unacknowledged, faults = 0, 0, []
    for k, first in enumerate(range(0, trials, 20)):  # a new history every 20 kills: all its rows are compared
        some = kill_writer(folder / f"writer {k}", min(20, trials - first), 1000 * seed + k)
        batches, unacknowledged, faults = batches + some[0], unacknowledged + some[1], faults + some[2]
    return faults, {"batches": batches, "committed_unacknowledged": unacknowledged}


def postgres(_folder, trials, seed):
    server = LocalPostgres()
    try:
        with historian.open(server.url) as history:
            batches, faults = kill_postgres(server, history, trials, seed)
            return faults, {"batches": batches, "refused": history.counts["not stored: server lost"]}
    finally:
        server.stop()


def nats(folder, trials, seed):
    server = LocalNats()
    try:
        with historian.open(folder / "nats") as history:
            batches, repeated, faults = asyncio.run(kill_nats(server, connect, history, trials, seed))
            return faults, {"batches": batches, "came_again": repeated}
    finally:
        server.stop()


def main():
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each kind of kill")
    parser.add_argument("--short", action="store_true", help="a tenth of the kills")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    ok = True
    folder = Path(tempfile.mkdtemp(prefix="serai-kill-"))
    try:
        for name, trial, full in (("writer", writer, 200), ("PostgreSQL", postgres, 20), ("NATS", nats, 20)):
            kills = max(2, full // 10) if arguments.short else full
            begin = time.perf_counter()
            faults, more = trial(folder, kills, arguments.seed)
            row = {"work": f"{name} killed {kills} times: faults", "figure": len(faults), "bar": 0, "holds": not faults,
                   "seconds": round(time.perf_counter() - begin, 1), **more}  # fmt: skip
            print(json.dumps(row) if arguments.json else f"{row}", flush=True)
            for fault in faults[:10]:
                print(f"  {fault}", file=sys.stderr)
            ok &= not faults
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
