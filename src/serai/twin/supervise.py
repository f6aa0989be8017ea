# SPDX-License-Identifier: Apache-2.0
"""Field, loop and room as processes of one command: each is started again when it ends, all end with the command.

How they do is written to a file that the loop reads for its health. A child's end is seen at once; it comes back after
a wait that doubles while it keeps ending, and is forgiven when it has run for a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serai.twin.health import memory
from serai.twin.live import PROCESSES
from serai.twin.parent import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from serai.twin.live import Place

WAIT, LONGEST, FORGIVEN = 0.5, 30.0, 60.0  # s: first wait before a child is started again, longest, run that forgives
GIVEN = 12.0  # s in which children end after they are asked to; then they are killed
SAID = 1.0  # s between two looks at memory
LOG = 5_000_000  # bytes of a child's log before it is begun anew
HERE = "127.0.0.1"


@dataclass
class Child:
    """One process: `arguments` behind the Python interpreter; `say` takes the lines that it prints, else a log does."""

    name: str
    arguments: Sequence[str]
    log: Path
    say: Callable[[str], None] | None = None
    status: str = "starting"
    restarts: int = 0
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    reason: str = ""

    @property
    def pid(self) -> int | None:
        """Return its process id while it runs."""
        return self.process.pid if self.process is not None and self.process.returncode is None else None

    def shown(self) -> dict[str, Any]:
        """Return how it does."""
        pid = self.pid
        return {"name": self.name, "pid": pid, "status": self.status, "restarts": self.restarts, "reason": self.reason,
                "memory_mb": memory(pid) if pid else None}  # fmt: skip


class Supervisor:
    """Keeps children running until `end`: `await Supervisor(children, folder).run()`."""

    def __init__(self, children: Sequence[Child], folder: Path) -> None:
        self.children, self._file = list(children), folder / PROCESSES
        self._end = asyncio.Event()
        self._changed = asyncio.Event()

    def end(self) -> None:
        """Let `run` end all children and return."""
        self._end.set()

    async def run(self) -> None:
        """Start every child and keep it running; returns when all have ended."""
        tasks = [asyncio.create_task(self._keep(child), name=child.name) for child in self.children]
        saying = asyncio.create_task(self._say())
        try:
            await self._end.wait()
        finally:
            self._end.set()
            await self._stop()
            for task in (*tasks, saying):
                task.cancel()
            await asyncio.gather(*tasks, saying, return_exceptions=True)
            self._file.unlink(missing_ok=True)

    async def _keep(self, child: Child) -> None:
        wait = WAIT
        while not self._end.is_set():
            begun = time.monotonic()
            await self._run(child)
            if self._end.is_set():
                return
            child.status, child.restarts = "down", child.restarts + 1
            self._changed.set()
            wait = WAIT if time.monotonic() - begun > FORGIVEN else min(2.0 * wait, LONGEST)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._end.wait()

    async def _run(self, child: Child) -> None:
        """Run a child once, to its end."""
        child.log.parent.mkdir(parents=True, exist_ok=True)
        mode = "ab" if child.log.exists() and child.log.stat().st_size < LOG else "wb"
        with child.log.open(mode) as log:
            child.process = await asyncio.create_subprocess_exec(
                sys.executable, *child.arguments, stdin=asyncio.subprocess.DEVNULL, stderr=log,
                stdout=asyncio.subprocess.PIPE if child.say else log, start_new_session=True,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,
            )  # fmt: skip
            child.status, child.reason = "up", ""
            self._changed.set()
            if child.process.stdout is not None and child.say is not None:
                while line := await child.process.stdout.readline():
                    child.say(line.decode(errors="replace").rstrip())
            code = await child.process.wait()
            child.reason = f"ended by signal {-code}" if code < 0 else f"ended with code {code}, see {child.log}"

    async def _stop(self) -> None:
        """Ask all children to end, kill what has not after a while."""
        for child in self.children:
            _tell(child, signal.SIGTERM)
        running = [c.process.wait() for c in self.children if c.process is not None and c.pid]
        if running:
            _, late = await asyncio.wait([asyncio.ensure_future(w) for w in running], timeout=GIVEN)
            if late:
                for child in self.children:
                    _tell(child, signal.SIGKILL)
                await asyncio.wait(late, timeout=GIVEN)

    async def _say(self) -> None:
        """Write how the children do, at every change and now and then."""
        while True:
            said = {"pid": os.getpid(), "processes": [c.shown() for c in self.children]}
            partial = self._file.with_suffix(".part")
            with contextlib.suppress(OSError):
                await asyncio.to_thread(_write, partial, self._file, json.dumps(said))
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAID):
                    await self._changed.wait()


def _write(partial: Path, path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _tell(child: Child, sign: signal.Signals) -> None:
    if child.pid is not None and child.process is not None:
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(sign)


# ------------------------------------------------------------------------------------------------------------- site


@dataclass(frozen=True, slots=True)
class Site:
    """What one command runs.

    case, day, scenario   of the field and the loop; "" = the case's own
    port       of the room; 0 = a free one;  first  of the field's ports, 0 = free ones, the same over restarts
    writes     whether commands act in the simulated field
    field, room   whether these run too
    """

    case: str
    place: Place
    day: str = ""
    scenario: str = ""
    port: int = 0
    first: int = 0
    writes: bool = False
    field: bool = True
    room: bool = True


def children(site: Site, stations: int, say: Callable[[str], None]) -> list[Child]:
    """Return the processes of a site; `stations` says how many ports the field needs."""
    place, logs = site.place, site.place.folder / "logs"
    common = ["--day", site.day] if site.day else []
    out = []
    if site.field:
        first = site.first or free_ports(stations)
        told = ["--scenario", site.scenario] if site.scenario else []
        told += ["--allow-commands"] if site.writes else []
        arguments = ["-m", "serai.twin", "field", site.case, "--endpoints", str(place.endpoints), "--port", str(first)]
        out.append(Child("field", [*arguments, *common, *told], logs / "field.log"))
    arguments = ["-m", "serai.twin", "loop", site.case, "--endpoints", str(place.endpoints), "--folder",
                 str(place.folder), "--socket", str(place.socket)]  # fmt: skip
    out.append(Child("loop", [*arguments, *common, *(["--writes"] if site.writes else [])], logs / "loop.log"))
    if site.room:
        port = site.port or free_ports(1)
        arguments = ["-m", "serai.room", "--socket", str(place.socket), "--folder", str(place.folder / "room"),
                     "--host", HERE, "--port", str(port)]  # fmt: skip
        out.append(Child("room", arguments, logs / "room.log", say))
    return out


def free_ports(count: int, tries: int = 20) -> int:
    """Return the first of `count` ports in a row that nobody listens on, nor on the one 1000 above the first."""
    for _ in range(tries):
        with socket.socket() as s:
            s.bind((HERE, 0))
            first = int(s.getsockname()[1])
        first = 20_000 + (first * 137) % 11_000  # below the range from which the system takes its own
        if all(is_free(p) for p in (*range(first, first + count), *((first + 1000,) if count > 1 else ()))):
            return first
    raise OSError(f"no {count} free ports in a row on {HERE}")


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port of this machine."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((HERE, port))
        except OSError:
            return False
    return True
