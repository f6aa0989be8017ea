# SPDX-License-Identifier: Apache-2.0
"""Accounts: sign-in, one-time links, administration; attacks on each, and that nothing goes unrecorded."""

import sqlite3
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from accounts.opened import CHEAP, HOME, PEOPLE, WORDS, opened, peopled
from serai.accounts import ADMINISTRATOR, Accounts, Hashing
from serai.errors import AccessRefused, NotStored

OTHER = "nine slow tortoises sing"


@pytest.fixture
def made(tmp_path):
    accounts, clock, records = peopled(tmp_path)
    yield accounts, clock, records
    accounts.close()


def refused(kind):
    return pytest.raises(AccessRefused, check=lambda error: error.kind == kind)


# ----------------------------------------------------------------------------------------------------------- sign-in


def test_a_session_carries_what_its_roles_permit(made):
    accounts, _, _ = made
    for name, role in PEOPLE.items():
        session = accounts.session(accounts.sign_in(name, WORDS, HOME))
        assert session.roles == (role,)
        assert session.permissions == accounts.roles.allowed([role])


def test_names_are_taken_as_people_write_them(made):
    assert made[0].session(made[0].sign_in(" OPER ", WORDS, HOME)).name == "oper"


def test_wrong_unknown_disabled_and_unready_are_told_apart_by_nobody(made):
    accounts, _, records = made
    accounts.add("fresh", ["viewer"], by="secadm")
    accounts.change("viewer", by="secadm", disabled=True)
    said = set()
    for name, password in (
        ("oper", OTHER),
        ("nobody", WORDS),
        ("viewer", WORDS),
        ("fresh", WORDS),
        ("", ""),
        ("'--", "x"),
    ):
        with refused("wrong-password") as error:
            accounts.sign_in(name, password, HOME + name)
        said.add((error.value.kind, str(error.value)))
    assert len(said) == 1
    assert records.what().count("sign-in refused") == 6


def test_unknown_names_are_locked_out_like_known_ones(made):
    accounts, _, _ = made

    def answers(name):
        found = []
        for _ in range(8):
            with pytest.raises(AccessRefused) as error:
                accounts.sign_in(name, "wrong", f"for {name}")
            found.append(str(error.value))
        return found

    assert answers("oper") == answers("nobody")


def test_brute_force_gets_a_handful_of_guesses_a_day(made):
    """A guess every second for a day; the argon2 work is counted, and the right guess comes last."""
    accounts, clock, _ = made
    tried = 0
    for _ in range(86400 // 10):
        clock.now += 10
        try:
            accounts.sign_in("oper", "guess", "10.0.0.9")
        except AccessRefused as error:
            tried += error.kind == "wrong-password"
    assert 5 < tried < 120  # after the first minutes four an hour
    accounts.sign_in("oper", WORDS, HOME)  # the owner, from his own desk


def test_right_password_is_refused_during_a_wait(made):
    accounts, clock, _ = made
    for _ in range(5):
        with refused("wrong-password"):
            accounts.sign_in("oper", "guess", HOME)
    with refused("locked-out"):
        accounts.sign_in("oper", WORDS, HOME)
    clock.now += 5
    accounts.sign_in("oper", WORDS, HOME)


def test_waits_outlive_a_restart(tmp_path):
    accounts, clock, records = peopled(tmp_path)
    for _ in range(5):
        with refused("wrong-password"):
            accounts.sign_in("oper", "guess", HOME)
    accounts.close()
    again = Accounts(tmp_path / "accounts.sqlite", records.append, clock=clock, hashing=CHEAP)
    with refused("locked-out"):
        again.sign_in("oper", WORDS, HOME)
    again.close()


def test_session_fixation_a_token_planted_in_the_browser_is_never_taken_over(made):
    accounts, _, _ = made
    planted = accounts.sign_in("viewer", WORDS, HOME)  # the thief's own session, put into the victim's browser
    token = accounts.sign_in("oper", WORDS, HOME, replaces=planted)
    assert token != planted
    assert accounts.session(planted) is None
    assert accounts.session(accounts.sign_in("oper", WORDS, HOME, replaces="planted")).name == "oper"
    assert accounts.session("planted") is None


def test_sign_out_ends_it(made):
    accounts, _, records = made
    token = accounts.sign_in("oper", WORDS, HOME)
    accounts.sign_out(token)
    accounts.sign_out(token)
    accounts.sign_out("never one")
    assert accounts.session(token) is None
    assert records.what().count("signed out") == 1


def test_a_dearer_cost_takes_hold_at_the_next_sign_in(tmp_path):
    accounts, clock, records = peopled(tmp_path)
    accounts.close()
    dearer = Accounts(tmp_path / "accounts.sqlite", records.append, clock=clock, hashing=Hashing(2, 16, 1))
    dearer.sign_in("oper", WORDS, HOME)
    kept = {row["name"]: row["hash"] for row in dearer._store.rows("SELECT name, hash FROM accounts")}
    assert "$m=16,t=2,p=1$" in kept["oper"]
    assert "$m=8,t=1,p=1$" in kept["viewer"]
    dearer.sign_in("oper", WORDS, HOME)
    dearer.close()


def test_a_disabling_during_the_hashing_wins(made, monkeypatch):
    accounts, _, _ = made
    verify = accounts._passwords.verify

    def meanwhile(kept, password):
        accounts.change("oper", by="secadm", disabled=True)
        return verify(kept, password)

    monkeypatch.setattr(accounts._passwords, "verify", meanwhile)
    with refused("wrong-password"):
        accounts.sign_in("oper", WORDS, HOME)
    assert accounts.sessions() == 0


# ---------------------------------------------------------------------------------------------------------- password


def test_a_new_password_ends_every_session_and_the_old_one_opens_nothing(made):
    accounts, _, _ = made
    stolen, mine = (accounts.sign_in("oper", WORDS, HOME) for _ in range(2))
    fresh = accounts.change_password(accounts.session(mine), WORDS, OTHER, HOME)
    assert accounts.session(stolen) is None
    assert accounts.session(mine) is None
    assert accounts.session(fresh).name == "oper"
    with refused("wrong-password"):
        accounts.sign_in("oper", WORDS, HOME)
    accounts.sign_in("oper", OTHER, HOME)


def test_a_stolen_session_cannot_guess_the_password(made):
    accounts, _, _ = made
    session = accounts.session(accounts.sign_in("oper", WORDS, HOME))
    for _ in range(5):
        with refused("wrong-password"):
            accounts.change_password(session, "guess", OTHER, HOME)
    with refused("locked-out"):
        accounts.change_password(session, WORDS, OTHER, HOME)


def test_the_same_or_a_weak_password_is_refused(made):
    accounts, _, _ = made
    session = accounts.session(accounts.sign_in("oper", WORDS, HOME))
    for new in (WORDS, "short", "oper oper oper oper"):
        with refused("weak-password"):
            accounts.change_password(session, WORDS, new, HOME)


# ------------------------------------------------------------------------------------------------------------- links


def test_first_administrator_by_a_link_that_works_once(tmp_path):
    accounts, _, records = opened(tmp_path)
    assert accounts.empty()
    older, link = accounts.first_link(), accounts.first_link()
    for wrong in (older, "made up", ""):
        with refused("bad-link"):
            accounts.first(wrong, "merdan", WORDS)
    with refused("weak-password"):
        accounts.first(link, "merdan", "short")  # does not spend the link
    accounts.first(link, "Merdan", WORDS)
    assert accounts.get("merdan").roles == (ADMINISTRATOR,)
    assert accounts.first_link() is None
    with refused("bad-link"):
        accounts.first(link, "thief", WORDS)
    assert not accounts.empty()
    assert records.what() == ["first link made"] * 2 + ["first administrator made"]
    accounts.close()


def test_a_first_link_expires(tmp_path):
    accounts, clock, _ = opened(tmp_path)
    link = accounts.first_link()
    clock.now += 24 * 3600 + 1
    with refused("bad-link"):
        accounts.first(link, "merdan", WORDS)
    accounts.close()


def test_of_two_who_use_the_first_link_at_once_one_succeeds(tmp_path):
    accounts, _, _ = opened(tmp_path)
    link, done, start = accounts.first_link(), [], threading.Barrier(4)

    def use(name):
        start.wait()
        try:
            accounts.first(link, name, WORDS)
            done.append(name)
        except AccessRefused:
            pass

    threads = [threading.Thread(target=use, args=(f"name{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert [a.name for a in accounts.list()] == done
    accounts.close()


def test_a_password_link_sets_the_password_of_its_account_once(made):
    accounts, _, _ = made
    assert not accounts.add("fresh", ["operator"], by="secadm").ready
    older, link = (accounts.password_link("fresh", by="secadm") for _ in range(2))
    with refused("bad-link"):
        accounts.set_password(older, WORDS)
    with refused("weak-password"):
        accounts.set_password(link, "fresh fresh fresh fresh")
    assert accounts.set_password(link, WORDS) == "fresh"
    with refused("bad-link"):
        accounts.set_password(link, OTHER)
    assert accounts.get("fresh").ready
    accounts.sign_in("fresh", WORDS, HOME)


def test_a_link_is_for_one_purpose(made, tmp_path):
    accounts, _, _ = made
    link = accounts.password_link("viewer", by="secadm")
    with refused("bad-link"):
        accounts.first(link, "thief", WORDS)
    empty, _, _ = opened(tmp_path / "other")
    with refused("bad-link"):
        empty.set_password(empty.first_link(), WORDS)
    empty.close()


# ---------------------------------------------------------------------------------------------------- administration


def test_nobody_gives_himself_a_role_and_the_attempt_is_recorded(made):
    accounts, _, records = made
    with refused("own-account"):
        accounts.change("secadm", by="secadm", held=[ADMINISTRATOR, "engineer"])
    assert records[-1][:3] == ("secadm", "change of own account refused", "account secadm")
    assert accounts.get("secadm").roles == (ADMINISTRATOR,)


def test_no_account_both_administrates_and_operates(made):
    accounts, _, _ = made
    with refused("roles-apart"):
        accounts.change("secadm", by="admin-one", held=[ADMINISTRATOR, "operator"])
    with refused("roles-apart"):
        accounts.add("both", [ADMINISTRATOR, "operator"], by="admin-one")


def test_a_grant_is_recorded_with_both_names_and_both_sets_of_roles(made):
    accounts, _, records = made
    accounts.change("viewer", by="secadm", held=["operator"])
    who, what, where, details = records[-1]
    assert (who, what, where) == ("secadm", "account changed", "account viewer")
    assert details["roles_before"] == ("viewer",)
    assert details["roles"] == ("operator",)


def test_changed_roles_hold_at_once_and_end_sessions(made):
    accounts, _, _ = made
    token = accounts.sign_in("oper", WORDS, HOME)
    accounts.change("oper", by="secadm", held=["viewer"])
    assert accounts.session(token) is None
    assert "command" not in accounts.session(accounts.sign_in("oper", WORDS, HOME)).permissions


def test_the_last_administrator_stays(made):
    accounts, _, _ = made
    accounts.remove("secadm", by="admin-one")
    for change in ({"disabled": True}, {"held": ["viewer"]}):
        with refused("last-administrator"):
            accounts.change("admin-one", by="console", **change)
    with refused("last-administrator"):
        accounts.remove("admin-one", by="console")
    assert accounts.get("admin-one").roles == (ADMINISTRATOR,)


def test_removed_and_disabled_accounts_lose_their_sessions(made):
    accounts, _, _ = made
    tokens = {name: accounts.sign_in(name, WORDS, HOME) for name in ("oper", "viewer", "engin")}
    accounts.remove("oper", by="secadm")
    accounts.change("viewer", by="secadm", disabled=True)
    assert accounts.revoke("engin", by="secadm") == 1
    assert not any(accounts.session(token) for token in tokens.values())


@pytest.mark.parametrize("name", ["", "a", "1st", "x" * 33, "имя", "a b", "a/../b", "console", "-", "ok\n"])
def test_names_that_cannot_be_one(made, name):
    if name == "ok\n":
        assert made[0].add(name, ["viewer"], by="secadm").name == "ok"
        return
    with refused("bad-name"):
        made[0].add(name, ["viewer"], by="secadm")


def test_taken_and_unknown_names(made):
    accounts, _, _ = made
    with refused("name-taken"):
        accounts.add("OPER", ["viewer"], by="secadm")
    for call in (accounts.get, lambda n: accounts.remove(n, by="x"), lambda n: accounts.revoke(n, by="x"),
                 lambda n: accounts.password_link(n, by="x"), lambda n: accounts.change(n, by="x")):  # fmt: skip
        with refused("unknown-account"):
            call("nobody")


# ------------------------------------------------------------------------------------------------------ bad conditions


def test_nothing_happens_that_cannot_be_recorded(tmp_path):
    accounts, _, _ = peopled(tmp_path)
    token = accounts.sign_in("oper", WORDS, HOME)

    def full(*_):
        raise NotStored("the audit cannot be written: disk full", "audit")

    accounts._append = full
    before = [tuple(row) for row in accounts._store.rows("SELECT * FROM accounts")]
    for call in (
        lambda: accounts.sign_in("viewer", WORDS, HOME),
        lambda: accounts.add("new", ["viewer"], by="secadm"),
        lambda: accounts.change("viewer", by="secadm", held=["operator"]),
        lambda: accounts.remove("viewer", by="secadm"),
        lambda: accounts.revoke("oper", by="secadm"),
        lambda: accounts.password_link("oper", by="secadm"),
        lambda: accounts.change_password(accounts.session(token), WORDS, OTHER, HOME),
    ):
        with pytest.raises(NotStored):
            call()
    assert [tuple(row) for row in accounts._store.rows("SELECT * FROM accounts")] == before
    assert accounts.session(token)
    assert accounts.sessions() == 1
    accounts.close()


def test_another_process_that_writes_does_not_hold_up_the_reading(made):
    accounts, _, _ = made
    token = accounts.sign_in("oper", WORDS, HOME)
    other = sqlite3.connect(accounts._store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE accounts SET seen = 0")
    assert accounts.session(token).name == "oper"
    other.execute("ROLLBACK")
    other.close()


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "accounts.sqlite").write_bytes(b"not a database, " * 100)
    with pytest.raises(NotStored, match=r"accounts\.sqlite: accounts cannot be read or written"):
        opened(tmp_path)


def test_a_file_of_a_later_version_is_left_alone(tmp_path):
    accounts, _, _ = opened(tmp_path)
    accounts._store._writer.execute("PRAGMA user_version = 9")
    accounts.close()
    with pytest.raises(NotStored, match="another version"):
        opened(tmp_path)


def test_no_secret_is_recorded(made):
    accounts, _, records = made
    token = accounts.sign_in("oper", WORDS, HOME)
    fresh = accounts.change_password(accounts.session(token), WORDS, OTHER, HOME)
    link = accounts.password_link("viewer", by="secadm")
    accounts.set_password(link, OTHER)
    with refused("wrong-password"):
        accounts.sign_in("my password typed as a name", "x", HOME)
    text = repr(list(records))
    for secret in (WORDS, OTHER, token, fresh, link, "typed as a name", accounts.session(fresh).csrf):
        assert secret not in text


# ------------------------------------------------------------------------------------------------- against a model


class Model(RuleBasedStateMachine):
    """Any order of administration and sign-ins, against plain dictionaries."""

    tokens = Bundle("tokens")
    names = st.sampled_from(["aa", "bb", "cc"])
    roles = st.sampled_from([("viewer",), ("operator",), ("operator", "engineer"), (ADMINISTRATOR,)])

    @initialize()
    def start(self):
        import tempfile
        from pathlib import Path

        self.folder = tempfile.TemporaryDirectory()
        self.accounts, self.clock, self.records = opened(Path(self.folder.name))
        self.accounts.first(self.accounts.first_link(), "root-one", WORDS)
        self.held = {"root-one": (ADMINISTRATOR,)}
        self.off = set()
        self.live = {}

    def teardown(self):
        self.accounts.close()
        self.folder.cleanup()

    @rule(name=names, held=roles)
    def add(self, name, held):
        if name in self.held:
            with refused("name-taken"):
                self.accounts.add(name, held, by="root-one", password=WORDS)
        else:
            self.accounts.add(name, held, by="root-one", password=WORDS)
            self.held[name] = held

    @rule(name=names, held=roles, off=st.booleans())
    def change(self, name, held, off):
        if name not in self.held:
            return
        self.accounts.change(name, by="root-one", held=held, disabled=off)
        self.held[name] = held
        (self.off.add if off else self.off.discard)(name)
        self._ended(name)

    @rule(name=names)
    def remove(self, name):
        if name in self.held:
            self.accounts.remove(name, by="root-one")
            del self.held[name]
            self.off.discard(name)
            self._ended(name)

    @rule(target=tokens, name=names)
    def sign_in(self, name):
        self.clock.now += 3700  # beyond every wait and every idle session
        self.live.clear()
        if name not in self.held or name in self.off:
            with refused("wrong-password"):
                self.accounts.sign_in(name, WORDS, HOME)
            return ""
        token = self.accounts.sign_in(name, WORDS, HOME)
        self.live[token] = name
        return token

    @rule(token=tokens)
    def sign_out(self, token):
        self.accounts.sign_out(token)
        self.live.pop(token, None)

    def _ended(self, name):
        self.live = {t: n for t, n in self.live.items() if n != name}

    @invariant()
    def agrees(self):
        if not hasattr(self, "accounts"):
            return
        assert {a.name: tuple(sorted(a.roles)) for a in self.accounts.list()} == {
            n: tuple(sorted(r)) for n, r in self.held.items()
        }
        assert self.accounts.sessions() == len(self.live)
        for token, name in self.live.items():
            assert self.accounts.session(token).permissions == self.accounts.roles.allowed(self.held[name])


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
