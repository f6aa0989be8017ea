# SPDX-License-Identifier: Apache-2.0
"""Killed with SIGKILL at random moments: no acknowledged reading lost, none stored twice, every segment whole.

Two hundred kills of each kind are in `benchmarks/kill_ingest.py`.
"""

from __future__ import annotations

import asyncio

from serai.telemetry import historian
from serai.telemetry.bus.jetstream import connect
from telemetry.bus.local_nats import LocalNats
from telemetry.historian.kill_trials import kill_nats, kill_postgres, kill_writer


def test_the_writer(tmp_path):
    batches, _, faults = kill_writer(tmp_path / "h", 5, seed=11, most=25)
    assert faults == []
    assert batches > 20


def test_the_postgresql_server(postgres):
    with historian.open(postgres.url, schema="killed") as history:
        batches, faults = kill_postgres(postgres, history, 2, seed=3)
    assert faults == []
    assert batches > 5


def test_the_nats_server(tmp_path):
    server = LocalNats()
    try:
        with historian.open(tmp_path / "h") as history:
            batches, _, faults = asyncio.run(kill_nats(server, connect, history, 2, seed=5))
    finally:
        server.stop()
    assert faults == []
    assert batches > 20
