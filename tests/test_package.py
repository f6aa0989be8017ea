# SPDX-License-Identifier: Apache-2.0
"""The package as a whole: what it exports, what importing it does, and whether its pages agree with it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import serai
from serai.units import UNITS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_at_most_25_public_names():
    names = getattr(serai, "__all__", [])
    assert len(names) <= 25
    assert all(hasattr(serai, name) for name in names)


def test_import_has_no_side_effect():
    code = (
        "import sys, warnings, numpy; before = list(warnings.filters), numpy.get_printoptions();"
        "import serai; after = list(warnings.filters), numpy.get_printoptions();"
        "assert before == after, (before, after);"
        "assert not {'pandapower', 'pandapipes', 'pyaga8', 'matplotlib'} & set(sys.modules)"
    )
    # pandas, scipy, xarray and numba are loaded first: filters that they set are theirs
    code = "import numba, pandas, scipy.sparse.linalg, scipy.special, xarray; " + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""


def test_version_agrees_with_pyproject():
    assert f'version = "{serai.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_unit_of_the_page_exists():
    page = (ROOT / "docs" / "units-and-signs.md").read_text(encoding="utf-8")
    rows = page.split("## Units at the edge")[1].split("\n\n")[1].splitlines()[2:]
    suffixes = [suffix for row in rows for suffix in re.findall(r"`(\w+)`", row.split("|")[3])]
    assert len(suffixes) > 30
    assert not set(suffixes) - set(UNITS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    lost = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not lost
