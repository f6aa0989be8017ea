# SPDX-License-Identifier: Apache-2.0
"""The guard in conftest.py: a skip that is not listed fails the run, a listed one does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("allowed", "code"),
    [("# why\nno such \\w+\n", 0), ("no such\n", 1), ("", 1)],
    ids=["listed", "listed in part", "not listed"],
)
def test_skip_fails_unless_listed(tmp_path, allowed, code):
    (tmp_path / "tests").mkdir()
    shutil.copy(Path(__file__).parent / "conftest.py", tmp_path / "tests")
    (tmp_path / "allowed").write_text(allowed, encoding="utf-8")
    (tmp_path / "tests" / "test_it.py").write_text(
        "import pytest\n\ndef test_runs(): pass\n\ndef test_skips(): pytest.skip('no such meter')\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", ".", "tests"],
        cwd=tmp_path,
        env={**os.environ, "SERAI_ALLOWED_SKIPS": "allowed"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("test_skips: no such meter" in done.stdout) == bool(code)
    assert "1 passed, 1 skipped" in done.stdout.splitlines()[-1]
