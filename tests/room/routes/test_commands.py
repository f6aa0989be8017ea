# SPDX-License-Identifier: Apache-2.0
"""Commands: simulated before anybody may confirm, refused while field writes are off, confirmed by a second person."""

import pytest

import serai as sr
from room.opened_room import API, kind, site, visit

SENT = {"quantity": "withdrawal", "where": "Town A", "value": 60.0, "unit": "kg/s", "reason": "cold night"}


def proposed(client):
    return client.post(API + "/commands", json=SENT)


def test_the_effect_is_that_of_the_network_solved_with_the_command(tmp_path):
    with site(tmp_path) as made:
        (answer,) = visit(made, ("oper", proposed))
    command = answer.json()
    assert (answer.status_code, command["state"], command["proposed_by"]) == (201, "predicted", "oper")
    truth = sr.steady(sr.read("two_pipes"), knowns=[sr.Known("withdrawal", "Town A gas", 60.0)])
    changes = {(c["quantity"], c["where"]): c for c in command["effect"]["changes"]}
    for town in ("Town A", "Town B"):
        told = changes["pressure", town]
        assert told["after"] == pytest.approx(float(truth.dataset.pressure.sel(gas_node=town)) / 1e5, abs=1e-3)
        assert told["broken"] == (told["after"] < told["limit"])
    assert changes["flow", "Pipe 1"]["after"] == pytest.approx(90.0)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"where": "Nowhere"}, 404), ({"value": -5.0}, 422), ({"value": 1e9}, 422), ({"unit": "bara"}, 422),
        ({"reason": ""}, 422), ({"value": "NaN"}, 422), ({"who": "somebody else"}, 422),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, change, status):
    async def scene(client):
        return await client.post(API + "/commands", json={**SENT, **change})

    with site(tmp_path) as made:
        (answer,) = visit(made, ("oper", scene))
    assert answer.status_code == status
    kind(answer)


def test_a_command_without_an_answer_in_physics_is_shown_as_refused(tmp_path):
    async def scene(client):
        return await client.post(API + "/commands", json={**SENT, "value": 1000.0})

    with site(tmp_path) as made:
        (answer,) = visit(made, ("oper", scene))
    assert answer.json()["state"] == "refused"
    assert answer.json()["refused_because"]


def test_confirmed_by_the_same_person_only_where_the_site_lets_it(tmp_path):
    async def confirm(client):
        id_ = (await client.get(API + "/commands")).json()[0]["id"]
        return await client.post(f"{API}/commands/{id_}/confirm")

    for second, kinds in ((False, ["denied", "denied"]), (True, ["second-person", "denied"])):
        with site(tmp_path / str(second), second_person=second) as made:
            _, same, other = visit(made, ("oper", proposed), ("oper", confirm), ("olga", confirm))
            assert [kind(a) for a in (same, other)] == kinds  # "denied": field writes are off at this site
            whats = [r[:2] for r in made.recorded()[-5:]]
            assert ("oper", "confirm: failed") in whats
            assert ("olga", "confirm: failed") in whats


def test_withdrawn_and_unknown(tmp_path):
    async def scene(client):
        id_ = (await proposed(client)).json()["id"]
        first = await client.post(f"{API}/commands/{id_}/withdraw")
        second = await client.post(f"{API}/commands/{id_}/withdraw")
        third = await client.post(f"{API}/commands/none/confirm")
        return first, second, third

    with site(tmp_path, second_person=True) as made:
        ((first, second, third),) = visit(made, ("oper", scene))
    assert first.json()["state"] == "withdrawn"
    assert [(a.status_code, kind(a)) for a in (second, third)] == [(409, "conflict"), (404, "unknown")]
