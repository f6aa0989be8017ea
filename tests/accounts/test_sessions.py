# SPDX-License-Identifier: Apache-2.0
"""Sessions: they end by idling, age and revocation; what is stored opens none."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.opened import HOME, WORDS, opened, peopled
from serai.accounts import Lifetimes
from serai.accounts.sessions import MOST


@pytest.fixture
def made(tmp_path):
    accounts, clock, records = peopled(tmp_path)
    yield accounts, clock, records
    accounts.close()


def test_ends_when_idle(made):
    accounts, clock, _ = made
    token = accounts.sign_in("oper", WORDS, HOME)
    clock.now += 30 * 60 - 1
    session = accounts.session(token)
    assert session.name == "oper"
    accounts.note(session)
    clock.now += 30 * 60 - 1
    assert accounts.session(token)
    clock.now += 1
    assert accounts.session(token) is None


def test_ends_after_one_shift_however_much_it_is_used(made):
    accounts, clock, _ = made
    token = accounts.sign_in("oper", WORDS, HOME)
    for _ in range(12 * 6 - 1):
        clock.now += 600
        accounts.note(accounts.session(token))
    clock.now += 600
    assert accounts.session(token) is None


def test_expires_says_when(made):
    accounts, clock, _ = made
    token = accounts.sign_in("oper", WORDS, HOME)
    assert accounts.session(token).expires == clock() + 1800


def test_use_is_noted_once_a_minute(made):
    accounts, clock, _ = made
    token = accounts.sign_in("oper", WORDS, HOME)
    assert not accounts.session(token).idle
    clock.now += 60
    assert accounts.session(token).idle
    accounts.note(accounts.session(token))
    assert not accounts.session(token).idle


def test_stored_sessions_and_links_open_nothing(made):
    accounts, _, _ = made
    token, link = accounts.sign_in("oper", WORDS, HOME), accounts.password_link("viewer", by="secadm")
    session = accounts.session(token)
    kept = b"".join(p.read_bytes() for p in accounts._store.path.parent.iterdir())
    for secret in (token, link, session.csrf, WORDS):
        assert secret.encode() not in kept
    assert session.key in kept
    assert accounts.session(session.key.hex()) is None


def test_the_file_is_its_owner_s_alone(made):
    accounts, _, _ = made
    assert {p.stat().st_mode & 0o077 for p in accounts._store.path.parent.glob("accounts.sqlite*")} == {0}


def test_sessions_of_one_account_are_bounded_and_the_oldest_ends(made):
    accounts, clock, _ = made
    tokens = []
    for _ in range(MOST + 3):
        clock.now += 1
        tokens.append(accounts.sign_in("oper", WORDS, HOME))
    assert [accounts.session(t) is not None for t in tokens] == [False] * 3 + [True] * MOST
    assert accounts.sessions() == MOST


def test_csrf_belongs_to_one_session(made):
    accounts, _, _ = made
    one, two = (accounts.session(accounts.sign_in("oper", WORDS, HOME)).csrf for _ in range(2))
    assert one != two


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=120))
def test_made_up_tokens_are_nobody(made, token):
    assert made[0].session(token) is None


@settings(max_examples=20)
@given(
    idle=st.floats(10, 1000),
    longest=st.floats(10, 3000),
    steps=st.lists(st.floats(0, 600), min_size=1, max_size=12),
)
def test_alive_exactly_as_long_as_both_times_allow(tmp_path_factory, idle, longest, steps):
    """Against a model: last use and beginning in two variables."""
    accounts, clock, _ = opened(tmp_path_factory.mktemp("s"), lifetimes=Lifetimes(idle_s=idle, longest_s=longest))
    accounts.first(accounts.first_link(), "admin-one", WORDS)
    token, began = accounts.sign_in("admin-one", WORDS, HOME), clock()
    seen = began
    for step in steps:
        clock.now += step
        session = accounts.session(token)
        assert (session is not None) == (clock() < seen + idle and clock() < began + longest)
        if session is None:
            break
        accounts.note(session)
        seen = clock()
    accounts.close()
