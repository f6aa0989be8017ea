# SPDX-License-Identifier: Apache-2.0
"""What docs/api.md shows is run: its client against a room, its SQL against a real PostgreSQL; its tables are true."""

import asyncio
import contextlib
import io
import re
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import numpy as np
import pytest

from accounts.opened import WORDS
from room.opened_room import PEOPLE, served, site
from room.test_door import MAY
from serai.accounts import bundled
from serai.telemetry import historian
from serai.telemetry.readings import Readings, Register
from telemetry.historian.local_postgres import LocalPostgres

DOCS = Path(__file__).parents[2] / "docs"
START = 1_795_348_800  # 2026-11-22T12:00Z, seconds


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_client_of_the_page_runs(tmp_path):
    (code,) = blocks("api.md", "python")
    with site(tmp_path) as made:
        made.accounts.add("merdan", ["operator"], by="secadm", password=WORDS)
        made.desk.sequence = 1
        with served(made.app) as port:
            asyncio.run(_a_scan(made, port))
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile(code.replace("127.0.0.1:8080", f"127.0.0.1:{port}"), "api.md", "exec"), {})  # noqa: S102
        assert ("merdan", "acknowledge", {"where": "alarm low1"}) in made.recorded()
    lines = said.getvalue().splitlines()
    assert "Town B pressure 49.73 ± 0.05 bara" in lines
    assert "high Town B: pressure below its limit" in lines
    assert lines[-1].startswith("scan of 20")


async def _a_scan(made, port):
    """Have the loop make a scan, so that a new stream begins with one."""
    async with asyncio.timeout(30):
        while not made.room.hub.up:  # noqa: ASYNC110 - in another thread
            await asyncio.sleep(0.02)
    made.desk.tick()


def test_the_tables_of_the_pages_are_true():
    accounts, api = ((DOCS / name).read_text(encoding="utf-8") for name in ("accounts.md", "api.md"))
    rows = dict(re.findall(r"^\| `([a-z-]+)`[^|]*\| (.*) \|$", accounts, re.MULTILINE))
    assert set(rows) == set(bundled().permissions)
    for permission, cells in rows.items():
        granted = [cell.strip() == "yes" for cell in cells.split("|")]
        assert granted == [permission in bundled().allowed([role]) for role in bundled()], permission
    for call in MAY:
        word = call.split("/")[-1].strip("{}")
        assert word in api, call
    assert len(PEOPLE) >= len(list(bundled()))


@pytest.fixture(scope="module")
def server():
    made = LocalPostgres()
    yield made
    made.stop()


def test_the_sql_of_the_page_reads_the_historian(server):
    """Two hours of a pressure, one reading corrected, one invalid: what the panel must show is computed here."""
    rights, panel, hourly = blocks("api.md", "sql")
    rng = np.random.default_rng(5)
    bars = 54 + rng.standard_normal(120)
    rows = [("Gedaim PT", START + 60 * k, float(b * 1e5), 0, START + 60 * k + 1) for k, b in enumerate(bars)]
    rows[7] = (*rows[7][:3], 128, rows[7][4])
    register = Register()
    with historian.open(server.url) as history:
        history.append("scan", Readings.of(register, rows), "Gedaim")
        history.append("other", Readings.of(register, [("Malay PT", START, 1e5, 0, START)]), "Malay")
        history.append("right", Readings.of(register, [("Gedaim PT", START + 60, 50e5, 0, START + 900)]), "Gedaim")
    bars[1] = 50.0
    shown = np.delete(bars, 7)
    with adbc.connect(server.url, autocommit=True) as owner, owner.cursor() as cursor:
        for statement in filter(str.strip, rights.split(";\n")):
            cursor.execute(statement)
    reader_url = server.url.replace("serai@", "grafana@")
    with adbc.connect(reader_url) as reader, reader.cursor() as cursor:
        cursor.execute(expanded(panel))
        found = cursor.fetchall()
        cursor.execute(expanded(hourly))
        means = cursor.fetchall()
        assert [value for _, value in found] == pytest.approx(shown)
        assert [t.timestamp() for t, _ in found] == [START + 60 * k for k in range(120) if k != 7]
        assert [value for _, value in means] == pytest.approx([shown[:59].mean(), shown[59:].mean()])
        for forbidden in (
            "DELETE FROM serai.readings",
            "SELECT * FROM serai.ledger",
            "CREATE TABLE serai.mine (x int)",
        ):
            with pytest.raises(adbc.Error):
                cursor.execute(forbidden)
            reader.rollback()


def expanded(sql: str) -> str:
    """Return a query as Grafana sends it: its macros written out, for the two hours."""
    between = rf"\1 BETWEEN to_timestamp({START}) AND to_timestamp({START + 7200})"
    sql = re.sub(r"\$__timeFilter\(([^)]*)\)", between, sql)
    return re.sub(r"\$__timeGroup\(([^,]*), '1h'\)", r"to_timestamp(floor(extract(epoch FROM \1) / 3600) * 3600)", sql)
