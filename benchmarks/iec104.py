# SPDX-License-Identifier: Apache-2.0
"""IEC 60870-5-104 on loopback, station and control room in two processes: what is offered and what arrives.

First Serai at full speed, over plain TCP and over TLS: the rate at which points (M_ME_TF_1, float with CP56 time)
arrive while none is lost. Then Serai and c104 (lib60870-C) side by side at the same offered rates, counted at the
receiver; the peer's sender learns nothing of what its queue overwrites. Every value of Serai is a running number, so
that a lost, repeated or exchanged point is seen. k = 12 and w = 8 on both sides, the standard's defaults: a link then
carries 192 such points in the time of one round trip, which on a busy machine is that of its scheduler; the row with
k = 120 shows what the code does when it need not wait.

    python benchmarks/iec104.py [--json] [--short]

c104 is taken from SERAI_C104_PYTHON or `.c104/bin/python` (`.ci/run` makes it). Exit status 1 when Serai loses a point
at any rate, or does not reach 50,000 points/s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from serai.telemetry.iec104 import (  # noqa: E402 - the tests' certificates come from beside
    ControlledStation,
    ControllingStation,
    Credentials,
    InformationObject,
    Settings,
    TypeId,
)
from telemetry.certificates import Authority  # noqa: E402

BAR = 50_000.0  # points/s
POINTS = 1000
RATES = ((2_000, 1), (5_000, 1), (10_000, 1), (10_000, 40), (20_000, 40), (50_000, 40))
PEER = ROOT / "benchmarks" / "iec104_c104.py"


# ------------------------------------------------------------------------------------------------- the field's process


async def field(rate: float, batch: int, seconds: float, k: int, files: list[str]) -> None:
    """Offer points at a rate, 0 = as fast as they go, as many as 100,000 in each second then."""
    settings = Settings(k=k, w=2 * k // 3)
    tls = Credentials(*files).server() if files else None
    points = {1: [InformationObject(k + 1, TypeId.M_ME_TF_1) for k in range(POINTS)]}
    async with ControlledStation("field", points, tls=tls, settings=settings) as station:
        print(json.dumps({"port": station.port}), flush=True)
        while not any(s.link.active for s in station.sessions):  # noqa: ASYNC110 - waits for another process
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        total = int(100_000 * seconds) if not rate else 0
        offered, begun, work = 0, time.perf_counter(), time.process_time()
        while offered < total if total else (time.perf_counter() - begun) < seconds:
            due = total or int(rate * (time.perf_counter() - begun))
            while offered < due:
                count = min(batch, due - offered) if batch > 1 else 1
                running = np.arange(offered, offered + count)
                await station.update(1, running % POINTS + 1, running.astype(float))
                offered += count
            if not total:
                await asyncio.sleep(0.002)
        took = time.perf_counter() - begun
        told = {"offered": offered, "took": took, "cpu": time.process_time() - work}
        print(json.dumps(told), flush=True)
        await asyncio.to_thread(sys.stdin.readline)


# -------------------------------------------------------------------------------------------------- the room's process


async def ours(
    rate: float, batch: int, seconds: float, files: dict[str, list[str]] | None = None, k: int = 12
) -> dict[str, float]:
    """Receive from a field process: offered, received, whole and in order, points/s at the receiver."""
    command = [
        sys.executable,
        __file__,
        "--field",
        str(rate),
        str(batch),
        str(seconds),
        str(k),
        *(files or {}).get("field", []),
    ]
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    port = json.loads(await process.stdout.readline())["port"]
    tls = Credentials(*files["room"]).client() if files else None
    room = ControllingStation(
        "room", "127.0.0.1", port, common_addresses=(), tls=tls, settings=Settings(k=k, w=2 * k // 3)
    )
    values: list[np.ndarray] = []
    times: list[float] = []
    work = time.process_time()

    async def listen() -> None:
        async for came in room.points():
            right = came.address == came.value.astype(np.int64) % POINTS + 1
            values.append(np.where(right, came.value, -1.0))
            times.append(time.perf_counter())

    listening = asyncio.create_task(listen())
    told = json.loads(await process.stdout.readline())
    while sum(map(len, values)) < told["offered"] and time.perf_counter() < times[-1] + 5.0:  # noqa: ASYNC110 - the same
        await asyncio.sleep(0.05)
    cpu = time.process_time() - work
    await room.close()
    await listening
    process.stdin.write(b"\n")
    await process.wait()
    every = np.concatenate(values)
    # values travel as float32: running numbers are exact up to 2^24
    whole = np.array_equal(every, np.arange(told["offered"], dtype=float))
    rate = (len(every) - len(values[0])) / (times[-1] - times[0])
    return told | {"received": len(every), "whole": whole, "rate": rate, "room_cpu": cpu}


def theirs(python: str, rate: float, batch: int, seconds: float) -> dict[str, float]:
    """The same with c104 on both sides."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    server = subprocess.Popen([python, PEER, "server", str(port), str(rate), str(batch), str(seconds)], **pipes)
    told = {}
    try:
        server.stdout.readline()
        client = subprocess.Popen([python, PEER, "client", str(port), str(seconds)], **pipes)
        try:
            if not json.loads(client.stdout.readline())["open"]:
                sys.exit("c104: the connection did not open")
            server.stdin.write("go\n")
            server.stdin.flush()
            told = json.loads(server.stdout.readline()) | json.loads(client.stdout.readline())
        finally:
            client.kill()
            client.communicate()
    finally:
        server.kill()
        server.communicate()
    return told


# ---------------------------------------------------------------------------------------------------------- the rows


def full_speed(seconds: float) -> list[dict[str, object]]:
    """Rows at full speed: plain, over TLS, and with a wide window."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        files = {name: [authority.file, *authority.files(name)] for name in ("field", "room")}
        for secured, k in ((None, 12), (files, 12), (None, 120)):
            found = asyncio.run(ours(0, POINTS, seconds, secured, k))
            holds = found["whole"] and found["rate"] >= BAR
            rows.append(
                {
                    "work": f"full speed{' over TLS' if secured else ''}, k={k}, {found['offered']:,} points",
                    "figure": round(found["rate"]), "bar": BAR, "holds": bool(holds), "unit": "points/s",
                    "lost": found["offered"] - found["received"], "in_order": found["whole"],
                    "field_cpu_s": round(found["cpu"], 2), "room_cpu_s": round(found["room_cpu"], 2),
                }
            )  # fmt: skip
    return rows


def side_by_side(python: str | None, seconds: float) -> list[dict[str, object]]:
    """Rows at offered rates: the share that arrives, ours and theirs."""
    rows = []
    for rate, batch in RATES:
        mine = asyncio.run(ours(rate, batch, seconds))
        row = {
            "work": f"offered {rate:,} points/s, {'one by one' if batch == 1 else f'batches of {batch}'}",
            "peer": "c104",
            "ours": mine["received"] / mine["offered"],
            "ours_offered_per_s": round(mine["offered"] / mine["took"]),
            "bar": 1.0,
            "holds": bool(mine["whole"]),
        }
        if python:
            peer = theirs(python, rate, batch, seconds)
            row |= {
                "theirs": peer["received"] / peer["offered"],
                "theirs_offered_per_s": round(peer["offered"] / peer["took"]),
            }
        rows.append(row)
    return rows


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--short", action="store_true", help="a second a row")
    parser.add_argument("--field", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.field:
        rate, batch, seconds, k, *files = given.field
        asyncio.run(field(float(rate), int(batch), float(seconds), int(k), files))
        return
    beside = ROOT / ".c104" / "bin" / "python"
    python = os.environ.get("SERAI_C104_PYTHON") or (str(beside) if beside.exists() else None)
    if python is None:
        print("no c104: SERAI_C104_PYTHON names no interpreter and .c104 is absent; Serai alone", file=sys.stderr)
    rows = full_speed(2 if given.short else 10) + side_by_side(python, 1 if given.short else 3)
    for row in rows:
        if given.json:
            print(json.dumps(row))
        elif "figure" in row:
            print(f"{row['work']:50} {row['figure']:>10,} points/s, {row['lost']} lost (bar {BAR:,.0f})")
        else:
            print(
                f"{row['work']:50} arrives: Serai {row['ours']:7.2%} of {row['ours_offered_per_s']:,}/s   "
                f"c104 {row.get('theirs', float('nan')):7.2%} of {row.get('theirs_offered_per_s', 0):,}/s"
            )
    sys.exit(not all(row["holds"] for row in rows))


if __name__ == "__main__":
    main()
