# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

import serai.network
from serai.errors import CaseError, UnknownName
from serai.network import Network, bundled, read, table, write
from serai.network.network import Day

MATPOWER = """function mpc = tiny
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [1 3 0 0 0 0 1 1 0 110 1 1.1 0.9];
mpc.gen = [1 0 0 0 0 1 100 1 10 0];
mpc.branch = [];
"""


@pytest.fixture
def case(tmp_path) -> Path:
    days = {"winter": Day("winter"), "summer": Day("summer")}
    write(
        Network(name="a case", tables={"gas_nodes": table("gas_nodes", [{"name": "A"}])}, days=days),
        tmp_path / "a case",
    )
    return tmp_path / "a case"


def refusal(source, **more) -> str:
    with pytest.raises(CaseError) as error:
        read(source, **more)
    assert len(error.value.mistakes) == 1
    return str(error.value.mistakes[0])


def test_a_folder_as_path_or_text(case):
    assert read(case).name == read(str(case)).name == "a case"


def test_on_a_day(case):
    assert read(case).day == ""
    assert read(case, day="summer").day == "summer"
    with pytest.raises(UnknownName, match="a case has no day 'spring'; days: winter, summer"):
        read(case, day="spring")


def test_a_bundled_case_by_name(case, monkeypatch):
    monkeypatch.setattr(serai.network, "bundled", lambda: {"turkmenistan": case})
    assert read("turkmenistan").name == "a case"
    text = refusal("turkmenistn")
    assert text == (
        "turkmenistn: no such file, folder or bundled case; did you mean turkmenistan?; bundled cases: turkmenistan"
    )


def test_every_bundled_case_can_be_read():
    for name in bundled():
        assert len(read(name).tables)


def test_matpower(tmp_path):
    (tmp_path / "tiny.m").write_text(MATPOWER)
    assert read(tmp_path / "tiny.m").name == "tiny"


def test_what_is_no_network(tmp_path, case):
    (tmp_path / "notes.txt").write_text("")
    kinds = "a case folder, a GasLib .net or .zip file and a MATPOWER .m file can be read"
    assert refusal(tmp_path / "notes.txt") == f"notes.txt: is no network: {kinds}"
    assert refusal(tmp_path) == "case.toml: is missing: a case folder has one"
    assert refusal(tmp_path / "none.m").startswith(f"{tmp_path / 'none.m'}: no such file, folder or bundled case")
    assert refusal(case, scenario="x.scn") == "a case: takes no scenario: only a GasLib .net or .zip has one"


def test_a_file_that_may_not_be_read(tmp_path, case, monkeypatch):
    (tmp_path / "tiny.m").write_text(MATPOWER)

    def refused(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert refusal(tmp_path / "tiny.m") == "tiny.m: cannot be read: Permission denied"
    assert refusal(case) == "case.toml: cannot be read: Permission denied"


def test_a_folder_in_the_place_of_a_file(tmp_path, case):
    (tmp_path / "folder.m").mkdir()
    assert refusal(tmp_path / "folder.m") == "case.toml: is missing: a case folder has one"
    (case / "case.toml").unlink()
    (case / "case.toml").mkdir()
    assert refusal(case) == "case.toml: cannot be read: Is a directory"
