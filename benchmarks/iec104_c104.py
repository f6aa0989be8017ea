# SPDX-License-Identifier: Apache-2.0
"""The peer of `iec104.py`: c104 as station or control room, in its own interpreter; GPL-3.0, imported by nobody.

python iec104_c104.py client PORT SECONDS        counts what arrives, prints {"received": ...}
python iec104_c104.py server PORT RATE BATCH SECONDS   offers points, prints {"offered": ..., "took": ...}
"""

import json
import sys
import time

import c104

COMMON, POINTS = 1, 1000
received = 0


def on_value(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    global received  # noqa: PLW0603 - c104 gives its callbacks no place of their own
    received += 1
    return c104.ResponseState.SUCCESS


def client(port, seconds):
    end = c104.Client(tick_rate_ms=50)
    connection = end.add_connection(ip="127.0.0.1", port=port, init=c104.Init.NONE)
    station = connection.add_station(common_address=COMMON)
    for k in range(POINTS):
        station.add_point(io_address=k + 1, type=c104.Type.M_ME_TF_1).on_receive(on_value)
    end.start()
    connection.connect()
    deadline = time.monotonic() + 15
    while connection.state != c104.ConnectionState.OPEN and time.monotonic() < deadline:
        if connection.state == c104.ConnectionState.OPEN_MUTED:
            connection.unmute()
        time.sleep(0.02)
    print(json.dumps({"open": connection.state == c104.ConnectionState.OPEN}), flush=True)
    last, still = -1, time.monotonic() + seconds + 3.0
    while time.monotonic() < still or received != last:  # until nothing has come for a while after the end
        last = received
        time.sleep(1.0)
    print(json.dumps({"received": received}), flush=True)
    end.stop()


def server(port, rate, batch, seconds):
    end = c104.Server(ip="127.0.0.1", port=port, tick_rate_ms=50)
    station = end.add_station(common_address=COMMON)
    points = [station.add_point(io_address=k + 1, type=c104.Type.M_ME_TF_1) for k in range(POINTS)]
    end.start()
    print(json.dumps({"port": port}), flush=True)
    sys.stdin.readline()
    time.sleep(0.5)
    offered, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        while offered < rate * passed:
            chosen = [points[(offered + k) % POINTS] for k in range(batch)]
            for k, point in enumerate(chosen):
                point.value = float(offered + k)
            if batch == 1:
                chosen[0].transmit(cause=c104.Cot.SPONTANEOUS)
            else:
                end.transmit_batch(c104.Batch(cause=c104.Cot.SPONTANEOUS, points=chosen))
            offered += batch
            if time.perf_counter() - begun > seconds:
                break
        time.sleep(0.002)
    print(json.dumps({"offered": offered, "took": time.perf_counter() - begun}), flush=True)
    sys.stdin.readline()
    end.stop()


role, *numbers = sys.argv[1:]
if role == "client":
    client(int(numbers[0]), float(numbers[1]))
else:
    server(int(numbers[0]), float(numbers[1]), int(numbers[2]), float(numbers[3]))
