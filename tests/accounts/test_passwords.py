# SPDX-License-Identifier: Apache-2.0
"""Passwords: what is refused, what is kept, and that an account that is not there costs the same work."""

import time
import unicodedata
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.opened import CHEAP, WORDS
from serai.accounts.passwords import SHORTEST, Hashing, Passwords, check, normal
from serai.errors import AccessRefused


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short but odd!",  # 14
        "aaaaaaaaaaaaaaaaaaaaaa",
        "abababababababababab",
        "passwordpassword1",
        "Password123456789",
        "123456789012345",
        "qwertyuiopasdfghjkl",
        "poiuytrewqlkjhgfdsa",
        "Turkmenistan12345",
        "operatoroperator12",
        "changeme-changeme",
        "merdan is my name",
        "MERDAN-9f8s7df98s7df",
        "x" * 300,
        "seven quiet\ncamels drink",
    ],
)
def test_refused(password):
    with pytest.raises(AccessRefused) as refused:
        check(password, "merdan")
    assert refused.value.kind == "weak-password"
    assert not password.strip() or password not in str(refused.value)


@pytest.mark.parametrize(
    "password",
    [WORDS, "ýedi sany düýe suw içýär", "верблюд пьёт воду тихо", "tR9#vLq2!xWz7Ku", "correct horse battery staple"],
)
def test_accepted(password):
    check(password, "merdan")


@given(st.text(max_size=60), st.sampled_from(["merdan", "a.b"]))
def test_any_text_is_judged_and_short_ones_never_pass(password, name):
    try:
        check(password, name)
    except AccessRefused:
        return
    assert len(normal(password)) >= SHORTEST
    assert name not in normal(password).lower()


KEPT = Passwords(CHEAP)


@given(st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_verifies_its_own_and_no_other(password, other):
    kept = KEPT.hash(password)
    assert kept.startswith("$argon2id$")
    assert KEPT.verify(kept, password)
    assert KEPT.verify(kept, other) == (normal(password) == normal(other))
    assert not KEPT.verify(None, password)


def test_one_password_in_two_forms_of_unicode():
    kept = KEPT.hash(unicodedata.normalize("NFD", "düýe"))
    assert KEPT.verify(kept, unicodedata.normalize("NFC", "düýe"))


def test_default_cost_is_the_second_recommended_set_of_rfc_9106():
    assert "$m=65536,t=3,p=4$" in Passwords(Hashing()).hash("x")


def test_unknown_account_is_verified_at_the_same_cost():
    """Counted, not timed: the hash looked at has the same parameters as those of accounts."""
    passwords = Passwords(CHEAP)
    passwords._hasher = mock.Mock(wraps=passwords._hasher)
    passwords.verify(None, "guess")
    passwords.verify(passwords.hash("right"), "guess")
    costs = [call.args[0].rsplit("$", 2)[0] for call in passwords._hasher.verify.call_args_list]
    assert len(costs) == 2
    assert costs[0] == costs[1]
    decoy, real = (call.args[0] for call in passwords._hasher.verify.call_args_list)
    assert [len(part) for part in decoy.split("$")] == [len(part) for part in real.split("$")]


def test_the_work_for_an_unknown_account_is_that_for_a_known_one():
    """At a cost where hashing dominates, by the processor's time: within a third of each other."""
    passwords = Passwords(Hashing(passes=2, memory_kib=16384, lanes=1))
    kept = passwords.hash("right")

    def spent(hash_):
        began = time.process_time()
        for _ in range(3):
            passwords.verify(hash_, "guess")
        return time.process_time() - began

    spent(kept)
    known, unknown = (min(spent(hash_) for _ in range(3)) for hash_ in (kept, None))
    assert unknown == pytest.approx(known, rel=0.34)


def test_half_a_character_is_a_wrong_password_not_a_fault():
    assert not KEPT.verify(KEPT.hash("x"), "\ud800")
    with pytest.raises(AccessRefused):
        check("\ud800" + WORDS, "merdan")


def test_a_damaged_hash_opens_nothing():
    assert not KEPT.verify("$argon2id$v=19$m=8,t=1,p=1$broken", "broken")
    assert not KEPT.verify("plain", "plain")


def test_outdated_cost_is_seen():
    assert Passwords(Hashing(passes=2, memory_kib=16, lanes=1)).outdated(KEPT.hash("x"))
    assert not KEPT.outdated(KEPT.hash("x"))
