# SPDX-License-Identifier: Apache-2.0
"""`serai accounts`: what it prints opens an account once; refusals are one line; all of it is in an audit."""

import pytest
from typer.testing import CliRunner

from accounts.opened import CHEAP, HOME, WORDS
from serai.accounts import Accounts
from serai.audit import public_of, signing_key, verify
from serai.cli import app


def call(folder, *arguments):
    return CliRunner().invoke(app, ["accounts", *arguments, *(["--folder", str(folder)] if folder else [])])


def test_from_an_empty_folder_to_somebody_who_signs_in(tmp_path):
    first = call(tmp_path, "add", "merdan", "--role", "security administrator", "--address", "https://room.example")
    assert first.exit_code == 0, first.stderr
    added = call(tmp_path, "add", "aman", "--role", "operator", "--role", "engineer")
    link = added.stdout.splitlines()[-1]
    assert link.startswith("http://127.0.0.1:8080/#password=")
    assert "https://room.example/#password=" in first.stdout
    found = Accounts(tmp_path / "accounts.sqlite", lambda *_: None, hashing=CHEAP)
    assert found.set_password(link.partition("=")[2], WORDS) == "aman"
    token = found.sign_in("aman", WORDS, HOME)
    assert found.session(token).roles == ("operator", "engineer")
    assert call(tmp_path, "roles", "aman", "--role", "viewer").stdout == "aman: viewer\n"
    assert found.session(token) is None
    found.close()


def test_list_disable_enable_link_remove(tmp_path):
    call(tmp_path, "add", "merdan", "--role", "security administrator")
    call(tmp_path, "add", "aman", "--role", "viewer")
    assert call(tmp_path, "disable", "aman").stdout == "aman: disabled\n"
    assert "disabled" in call(tmp_path, "list").stdout
    assert call(tmp_path, "enable", "aman").stdout == "aman: enabled\n"
    assert "#password=" in call(tmp_path, "link", "aman").stdout
    assert call(tmp_path, "remove", "aman").stdout == "aman: removed\n"
    assert [line.split()[0] for line in call(tmp_path, "list").stdout.splitlines()] == ["merdan"]
    log = tmp_path / "audit" / "console.audit"
    verdict = verify(log, public_of(signing_key(tmp_path / "audit" / "key.pem")))
    assert verdict.holds
    assert log.read_text().count('"what":"account changed"') == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "x", "--role", "viewer"], "cannot be the name"),
        (["add", "aman"], "needs a role"),
        (["add", "aman", "--role", "root"], "there is no role 'root'"),
        (["add", "merdan", "--role", "viewer"], "already"),
        (["remove", "merdan"], "last security administrator"),
        (["link", "nobody"], "there is no account 'nobody'"),
    ],
)
def test_refusals_in_one_line(tmp_path, arguments, said):
    call(tmp_path, "add", "merdan", "--role", "security administrator")
    done = call(tmp_path, *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_the_only_room_below_out_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "there are 0 rooms" in call(None, "list").stderr
    (tmp_path / "out" / "turkmenistan" / "site" / "room").mkdir(parents=True)
    assert call(None, "add", "merdan", "--role", "security administrator").exit_code == 0
    (tmp_path / "out" / "other" / "site" / "room").mkdir(parents=True)
    assert "there are 2 rooms" in call(None, "list").stderr


def test_roles_are_listed_without_a_room():
    assert call(None, "roles").stdout.splitlines()[0].split() == ["viewer", "view"]
