# SPDX-License-Identifier: Apache-2.0
"""What all tests share: one thread per library, the shared data, and no skip that is not allowed."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy: small matrices are slower and less repeatable on many threads

import re  # noqa: E402 - the thread counts come first
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# no limit of time for one example: a machine beside other work is slow, and compilation is part of a first call
settings.register_profile("serai", deadline=None)
settings.load_profile("serai")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of published networks and series: SERAI_DATA, or ../shared/data seen from the project's root."""
    given = os.environ.get("SERAI_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if folder.is_dir():
        return folder.resolve()
    if given:
        pytest.fail(f"SERAI_DATA is {given!r}, which is not a folder")
    pytest.skip("the shared data is absent: set SERAI_DATA to its folder")


class SkipGuard:
    """Fails the run on a skip whose reason matches no line of the file named in SERAI_ALLOWED_SKIPS."""

    def __init__(self, allowed: Path) -> None:
        lines = (line.strip() for line in allowed.read_text(encoding="utf-8").splitlines())
        self.file = allowed
        self.allowed = [re.compile(line) for line in lines if line and not line.startswith("#")]
        self.found: list[str] = []

    def look(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not any(pattern.fullmatch(reason) for pattern in self.allowed):
            self.found.append(f"{report.nodeid}: {reason}")

    pytest_runtest_logreport = look
    pytest_collectreport = look

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.found and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.found:
            terminalreporter.section(f"skips that {self.file} does not allow", red=True)
            for line in self.found:
                terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    allowed = os.environ.get("SERAI_ALLOWED_SKIPS")
    if allowed:
        config.pluginmanager.register(SkipGuard(ROOT / allowed))
