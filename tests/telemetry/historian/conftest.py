# SPDX-License-Identifier: Apache-2.0
"""Both engines for the same tests, and a clock that a test sets."""

from __future__ import annotations

from itertools import count

import pytest

from serai.telemetry import historian
from telemetry.historian.local_postgres import LocalPostgres

HOUR = 3_600_000_000
NOON = 1_795_348_800_000_000  # 2026-11-22T12:00Z


class Clock:
    """The present time [µs], as the test says."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock(NOON)


@pytest.fixture(scope="session")
def postgres():
    server = LocalPostgres()
    yield server
    server.stop()


_schemas = count()


@pytest.fixture(params=["duckdb", "postgresql"])
def where(request, tmp_path):
    """How to open one empty history of an engine, again and again."""
    if request.param == "duckdb":
        return {"where": tmp_path / "history"}
    server = request.getfixturevalue("postgres")
    return {"where": server.url, "schema": f"test_{next(_schemas)}"}


@pytest.fixture
def history(where, clock):
    with historian.open(**where, clock=clock) as opened:
        yield opened
