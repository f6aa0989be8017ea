# SPDX-License-Identifier: Apache-2.0
"""Look-ahead: survival times against transients run one at a time, gas and power together, with events."""

import numpy as np
import pytest

import serai as sr
from serai.errors import BadTimes, ModeCycle, PhysicsRefused, SeraiError, UnknownName
from serai.known import Event, Known, Series
from serai.simulate.ahead import BREAKS, HOLDS, ahead
from serai.simulate.limits import breaks
from serai.simulate.transient import Running

STEP = 900.0
PRESSURES = ("pressure", "inlet_pressure", "outlet_pressure")


@pytest.fixture(scope="module")
def pipes():
    return sr.read("two_pipes")


@pytest.fixture(scope="module")
def country():
    return sr.read("turkmenistan")


@pytest.fixture(scope="module")
def day(country):
    return ahead(country, hours=9.0, losses=["Galkynysh field", "Dauletabad field", "Samandepe CS", "Korpeje CS"])


def first_break(net, result, apart=()):
    """Return (time of the first step at which a limit of a pressure is broken, the elements then), from a result."""
    for k in range(1, result.dataset.sizes["time"]):
        found = [b for b in breaks(net, result.dataset.isel(time=[k])) if b.quantity in PRESSURES]
        found = [b for b in found if b.element not in apart]
        if found:
            return float(result.dataset["time"].values[k]), {b.element for b in found}
    return np.inf, set()


def brute(net, events, hours, *, capped="", tripped=""):
    """Run one transient of gas and power; again when a field would pass its most, or a station finds no mode."""
    while True:
        try:
            result = sr.transient(net, hours=hours, step=STEP, events=events)
        except (PhysicsRefused, ModeCycle) as error:
            if tripped not in error.elements:
                raise
            hour, minute = (int(x) for x in str(error).removeprefix("at ").split(":")[:2])
            begun = (3600.0 * hour + 60.0 * minute) // STEP * STEP
            events = [*events, Event(begun, Known("open", tripped, 1.0))]
            tripped = ""
            continue
        given = result.supplied[capped].values if capped else np.zeros(1)
        row = net["supplies"].row(capped) if capped else 0
        over = np.flatnonzero(given > net["supplies"]["flow_max"][row] * (1 + 1e-6))
        if not len(over):
            return result
        most = float(net["supplies"]["flow_max"][row])
        events = [*events, Event(STEP * (over[0] - 1), Known("supply", capped, most))]
        capped = ""


def own_use(net, field):
    """Return the events by which a field stops: it gives nothing, and burns and loses nothing of its own."""
    node = net["supplies"]["node"][net["supplies"].row(field)]
    t = net.active("offtakes")
    own = [n for n, at, kind in zip(t.names, t["node"], t["kind"], strict=True)
           if at == node and kind in ("field fuel", "loss")]  # fmt: skip
    return [Event(0.0, Known("supply", field, 0.0)), *(Event(0.0, Known("withdrawal", n, 0.0)) for n in own)]


@pytest.mark.parametrize(
    ("lost", "capped", "tripped"),
    [("Galkynysh field", "", "Malay CS"), ("Dauletabad field", "Galkynysh field", ""), ("Samandepe CS", "", "")],
)
def test_survival_times_are_those_of_a_transient_of_gas_and_power(country, day, lost, capped, tripped):
    mine = next(s for s in day.survival if s.lost == lost)
    is_field = lost in country["supplies"]
    events = own_use(country, lost) if is_field else [Event(0.0, Known("open", lost, 1.0))]
    result = brute(country, events, 9.0, capped=capped, tripped=tripped)
    time, elements = first_break(country, result, apart=(lost,))
    assert mine.status == (BREAKS if np.isfinite(time) else HOLDS)
    if np.isfinite(time):
        assert time - STEP <= mine.time <= time
        assert mine.first.element in elements
    assert mine.mismatch < 1e-9
    assert (mine.capped, mine.tripped) == ((capped,) if capped else (), (tripped,) if tripped else ())


def test_the_country_outlives_galkynysh_for_some_hours(day):
    times = {s.lost: s.time for s in day.survival}
    assert 3.0 * 3600 < times["Galkynysh field"] < 9.0 * 3600
    assert [s.time for s in day.survival] == sorted(times.values())
    assert day.intact.status == HOLDS
    assert day.reached == ()
    frame = day.table()
    assert frame.loc["Galkynysh field", "first"] == "Gedaim"
    assert frame.loc["Galkynysh field", "hours"] == pytest.approx(times["Galkynysh field"] / 3600)


def test_survival_of_two_pipes_against_steps_of_a_minute(pipes):
    mine = ahead(pipes, hours=5.0, step="5min").survival
    assert [s.lost for s in mine] == ["Field supply"]
    fine = sr.transient(pipes, hours=5, step="1min", events=[Event(0.0, Known("supply", "Field supply", 0.0))])
    time, elements = first_break(pipes, fine)
    assert abs(mine[0].time - time) <= 300.0
    assert {mine[0].first.element} == elements


def test_a_live_transient_goes_on_where_it_is(pipes):
    demand = Series("withdrawal", "Town A gas", (0.0, 3600.0, 7200.0, 14400.0), (40.0, 55.0, 30.0, 45.0))
    whole = sr.transient(pipes, hours=4, step="10min", knowns=[demand])
    live = Running(pipes, (demand,), ())
    live.begin()
    for k in range(12):
        live.advance(600.0 * k, 600.0 * (k + 1), 600.0, None)
    rest = Series("withdrawal", "Town A gas", (0.0, 7200.0), (30.0, 45.0))
    seen = ahead(pipes, live, hours=2, step="10min", knowns=[rest], losses=())
    np.testing.assert_allclose(seen.result.pressure.values, whole.pressure.values[12:], rtol=1e-10)
    # by the nodes alone, cells follow from the ends of their pipes: not what was in them, but near
    nodes = {"pressure": {n: float(whole.pressure.sel(gas_node=n)[12]) for n in ("Field", "Town A", "Town B")}}
    near = ahead(pipes, nodes, hours=2, step="10min", knowns=[rest], losses=())
    np.testing.assert_allclose(near.result.pressure.values, whole.pressure.values[12:], rtol=0.03)


def test_a_steady_result_stays_where_it_is(pipes):
    now = sr.steady(pipes)
    seen = ahead(pipes, now, hours=2, losses=())
    # the profile within a pipe is that of an ideal gas; compressibility bends it by less than a thousandth
    np.testing.assert_allclose(seen.result.pressure.values[-1], now.pressure.values, rtol=1e-3)
    of_day = sr.transient(pipes, hours=2)
    again = ahead(pipes, of_day, hours=2, losses=())
    np.testing.assert_allclose(again.result.pressure.values[-1], now.pressure.values, rtol=1e-3)


def test_a_live_state_goes_on_where_no_steady_state_is(pipes):
    """What is drawn now cannot be drawn for ever: the transient whose demand jumps at the start says how long."""
    much = Known("withdrawal", "Town B gas", 75.0)
    with pytest.raises(PhysicsRefused):
        ahead(pipes, hours=1.0, knowns=[much])
    live = Running(pipes, (), ())
    live.begin()
    seen = ahead(pipes, live, hours=1.0, step="5min", knowns=[much], losses=())
    jump = sr.transient(pipes, hours=1.0, step="5min", events=[Event(0.0, much)])
    np.testing.assert_allclose(seen.result.pressure.values, jump.pressure.values, rtol=1e-9)
    assert abs(seen.result.dataset.attrs["ledger_error"]) < 1e-9


def test_limits_that_a_day_reaches(pipes):
    """The crossing times, to a step, of a transient with steps fifteen times as fine."""
    more = Series("withdrawal", "Town B gas", (0.0, 3600.0, 7200.0), (30.0, 30.0, 50.0))
    seen = ahead(pipes, hours=4, knowns=[more], losses=())
    fine = sr.transient(pipes, hours=4, step="1min", knowns=[more])
    low = float(pipes["gas_nodes"]["pressure_min"][0])
    t = fine.dataset["time"].values
    for b in seen.reached:
        values = fine.pressure[b.element].values
        assert abs(b.time - t[np.argmax(values < low)]) <= STEP
        assert b.limit == low
        assert b.value <= low
    assert {b.element for b in seen.reached} == {
        n for n in ("Field", "Town A", "Town B") if (fine.pressure[n].values < low).any()
    }
    assert [b.time for b in seen.reached] == sorted(b.time for b in seen.reached)
    # what breaks anyway does not end the survival of a loss
    assert {b.element for b in seen.reached} <= {"Town A", "Town B"}


def test_a_day_that_cannot_go_on_is_told_as_far_as_it_goes(pipes):
    more = Series("withdrawal", "Town B gas", (0.0, 3600.0, 7200.0), (30.0, 30.0, 75.0))
    seen = ahead(pipes, hours=6, knowns=[more])
    assert "cannot flow" in seen.stopped
    assert "Town B" in seen.stopped
    assert 2.0 < seen.hours < 4.0
    assert {"Town B"} <= {b.element for b in seen.reached}
    assert seen.survival[0].status == BREAKS
    with pytest.raises(PhysicsRefused):
        ahead(pipes, hours=1, knowns=[Known("withdrawal", "Town B gas", 500.0)])


def test_a_limit_that_breaks_anyway_is_not_blamed_on_a_loss(pipes):
    low = pipes["gas_nodes"].replace(pressure_min=np.array([0.0, 59e5, 0.0]))  # broken from the start at Town A
    found = ahead(pipes.with_tables(gas_nodes=low), hours=3.0)
    assert {b.element for b in found.reached} == {"Town A"}
    assert [s.status for s in found.survival] != [BREAKS] or found.survival[0].first.element != "Town A"


def test_a_supply_gives_its_most_and_holds_its_pressure_again(pipes):
    t = pipes["supplies"]
    small = pipes.with_tables(supplies=t.replace(flow_max=np.array([75.0])))
    demand = Series("withdrawal", "Town A gas", (0.0, 600.0, 1200.0, 5400.0, 6000.0), (40.0, 40.0, 60.0, 60.0, 20.0))
    during = ahead(small, hours=1.5, step="10min", knowns=[demand])
    assert during.intact.capped == ("Field supply",)
    after = ahead(small, hours=8.0, step="10min", knowns=[demand])
    assert after.intact.capped == ()
    assert max(b.value for b in after.reached if b.quantity == "supplied") > 75.0  # the day itself says so


def test_progress_and_refusals(pipes):
    shares = []
    ahead(pipes, hours=1.0, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    with pytest.raises(UnknownName, match="Nowhere"):
        ahead(pipes, hours=1.0, losses=["Nowhere"])
    with pytest.raises(UnknownName, match="'Nowhere'"):
        ahead(pipes, {"pressure": {"Nowhere": 5e6}}, hours=1.0)
    with pytest.raises(SeraiError, match="no pressure of a node"):
        ahead(pipes, {"flow": {}}, hours=1.0)
    with pytest.raises(BadTimes):
        ahead(pipes, hours=1.0, step="7min")
