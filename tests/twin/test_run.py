# SPDX-License-Identifier: Apache-2.0
"""`serai run`: what it refuses, and that Ctrl-C ends field, loop and room with it."""

import asyncio
import json
import os
import signal
import sys

from typer.testing import CliRunner

from serai import cli
from serai.network import write
from twin.desks import grid

PATIENCE = 90.0


def test_a_case_without_instruments_is_refused_with_what_to_do():
    done = CliRunner().invoke(cli.app, ["run", "two_pipes"])
    assert done.exit_code == 2
    assert "no instruments.csv" in done.stderr
    assert "--report" in done.stderr


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_ends_all_of_it(tmp_path):
    write(grid(), tmp_path / "case")

    async def run():
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "serai.cli", "run", "case", "--port", "0", cwd=tmp_path, start_new_session=True,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        lines = []
        try:
            async with asyncio.timeout(PATIENCE):
                while not any(line.startswith("first security administrator") for line in lines):
                    line = await command.stdout.readline()
                    assert line, "\n".join(lines)
                    lines.append(line.decode().strip())
            (file,) = tmp_path.glob("out/*/site/processes.json")
            pids = [p["pid"] for p in json.loads(file.read_text())["processes"]]
            assert len(pids) == 3
            command.send_signal(signal.SIGINT)
            rest, _ = await asyncio.wait_for(command.communicate(), 40.0)
        finally:
            if command.returncode is None:
                command.kill()
                await command.wait()
        assert any(line.startswith("http://127.0.0.1:") for line in lines)
        assert rest.decode().strip().endswith("ended")
        assert command.returncode == 0
        assert not any(alive(p) for p in pids)

    asyncio.run(run())
