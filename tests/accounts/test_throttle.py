# SPDX-License-Identifier: Apache-2.0
"""Attempts: free ones, waits that double, bounds that no schedule of attempts gets around."""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.opened import Clock
from serai.accounts.store import Store
from serai.accounts.throttle import Limit, Limits, Throttle
from serai.errors import AccessRefused


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "a.sqlite")
    yield made
    made.close()


def admitted(throttle, name, address, now):
    try:
        throttle.charge(name, address, now)
    except AccessRefused:
        return False
    return True


def test_free_attempts_then_waits_that_double(store):
    throttle, clock, waits = Throttle(store, Limits()), Clock(), []
    for _ in range(5):
        assert admitted(throttle, "oper", "10.0.0.1", clock())
    for _ in range(9):
        with pytest.raises(AccessRefused) as refused:
            throttle.charge("oper", "10.0.0.1", clock())
        waits.append(refused.value.wait_s)
        clock.now += refused.value.wait_s
        assert admitted(throttle, "oper", "10.0.0.1", clock())
    assert waits == pytest.approx([5, 10, 20, 40, 80, 160, 320, 640, 900])


def test_another_address_is_not_locked_out(store):
    throttle = Throttle(store, Limits())
    for _ in range(20):
        admitted(throttle, "oper", "10.0.0.1", 0.0)
    with pytest.raises(AccessRefused) as refused:
        throttle.charge("oper", "10.0.0.1", 0.0)
    assert refused.value.kind == "locked-out"
    assert admitted(throttle, "oper", "10.0.0.2", 0.0)


def test_one_address_cannot_go_through_names(store):
    throttle = Throttle(store, Limits())
    assert sum(admitted(throttle, f"name{i}", "10.0.0.1", 0.0) for i in range(200)) == 30


def test_many_addresses_on_one_account_are_slowed_down_and_the_owner_never_kept_out(store):
    throttle = Throttle(store, Limits())
    assert sum(admitted(throttle, "oper", f"10.0.{i // 250}.{i % 250}", 0.0) for i in range(300)) == 50
    assert admitted(throttle, "oper", "192.168.0.1", 60.0)  # the longest wait of an account over all addresses


def test_refused_attempts_do_not_lengthen_the_wait(store):
    throttle = Throttle(store, Limits())
    for _ in range(5):
        throttle.charge("oper", "a", 0.0)
    assert not any(admitted(throttle, "oper", "a", t / 10) for t in range(49))
    assert admitted(throttle, "oper", "a", 5.0)


def test_own_sign_ins_do_not_clear_the_address(store):
    """A thief with an account of his own cannot reset what his address has used up on others."""
    throttle, tried = Throttle(store, Limits()), 0
    for i in range(400):
        tried += admitted(throttle, f"victim{i}", "a", 0.0)
        if admitted(throttle, "own", "a", 0.0):
            with store.writing() as at:
                throttle.forgive(at, "own", "a")
    assert tried <= 30


def test_attempts_at_the_same_moment_all_count(store):
    throttle, passed = Throttle(store, Limits()), []
    threads = [threading.Thread(target=lambda: passed.append(admitted(throttle, "oper", "a", 0.0))) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 5


def test_a_clock_set_back_does_not_lengthen_a_wait(store):
    throttle = Throttle(store, Limits())
    for _ in range(5):
        throttle.charge("oper", "a", 1e6)
    assert not admitted(throttle, "oper", "a", 0.0)
    with pytest.raises(AccessRefused) as refused:
        throttle.charge("oper", "a", 0.0)
    assert refused.value.wait_s <= 5.0


def test_names_are_not_kept_in_words(store):
    Throttle(store, Limits()).charge("my secret typed as a name", "10.9.8.7", 0.0)
    kept = b"".join(p.read_bytes() for p in store.path.parent.iterdir())
    assert b"secret" not in kept
    assert b"10.9.8.7" not in kept


def test_forgotten_failures_leave_the_file(store):
    throttle = Throttle(store, Limits())
    for i in range(25):
        throttle.charge(f"n{i}", f"a{i}", 0.0)
    throttle.charge("n", "a", 3601.0)
    assert store.row("SELECT count(*) AS n FROM failures")["n"] == 3


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(st.floats(0, 2000), min_size=1, max_size=60), free=st.integers(1, 6))
def test_no_schedule_gets_more_than_the_bound(store, gaps, free):
    """Between two failures beyond the free ones lie at least `first_s`, and `longest_s` once the waits have grown."""
    with store.writing() as at:
        at.execute("DELETE FROM failures")
    limit = Limit(free=free, first_s=4.0, longest_s=60.0, forgotten_s=1e9)
    throttle, now, times = Throttle(store, Limits(pair=limit, address=limit, account=limit)), 0.0, []
    for gap in gaps:
        now += gap
        if admitted(throttle, "oper", "a", now):
            times.append(now)
    between = [b - a for a, b in zip(times[free - 1 :], times[free:], strict=False)]
    assert all(gap >= min(60.0, 4.0 * 2.0**i) - 1e-6 for i, gap in enumerate(between))
