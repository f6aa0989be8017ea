# SPDX-License-Identifier: Apache-2.0
"""Administration over HTTP: links instead of passwords, nobody for himself, the last one stays."""

import pytest

from accounts.opened import WORDS
from room.opened_room import API, kind, site, visit


@pytest.fixture
def made(tmp_path):
    with site(tmp_path) as found:
        yield found


def test_a_new_account_from_link_to_first_sight(made):
    async def admin(client):
        return await client.post(API + "/accounts", json={"name": "Aman", "roles": ["operator"]})

    async def owner(client):
        set_ = await client.post(API + "/session/set", json={"token": token, "password": WORDS})
        again = await client.post(API + "/session/set", json={"token": token, "password": WORDS})
        return set_, again, await client.post(API + "/session", json={"name": "aman", "password": WORDS})

    (added,) = visit(made, ("secadm", admin))
    token = added.json()["link"].removeprefix("/#password=")
    ((set_, again, signed),) = visit(made, (None, owner))
    assert (added.status_code, added.json()["name"]) == (201, "aman")
    assert [a.status_code for a in (set_, again, signed)] == [204, 403, 200]
    assert signed.json()["roles"] == ["operator"]


def test_refusals_in_one_shape(made):
    async def scene(client):
        out = {}
        for name, method, path, sent in (
            ("taken", "post", "/accounts", {"name": "oper", "roles": ["viewer"]}),
            ("role", "post", "/accounts", {"name": "new", "roles": ["root"]}),
            ("none", "post", "/accounts", {"name": "new", "roles": []}),
            ("name", "post", "/accounts", {"name": "../etc", "roles": ["viewer"]}),
            ("apart", "patch", "/accounts/oper", {"roles": ["operator", "security administrator"]}),
            ("own", "patch", "/accounts/secadm", {"roles": ["operator"]}),
            ("unknown", "patch", "/accounts/nobody", {"disabled": True}),
            ("extra", "patch", "/accounts/oper", {"hash": "x"}),
        ):
            answer = await getattr(client, method)(API + path, json=sent)
            out[name] = answer.status_code, kind(answer)
        out["remove own"] = await client.delete(API + "/accounts/secadm")
        return out

    (out,) = visit(made, ("secadm", scene))
    own = out.pop("remove own")
    assert (own.status_code, kind(own)) == (403, "own-account")
    assert out == {
        "taken": (409, "name-taken"), "role": (422, "unknown-role"), "none": (422, "no-role"),
        "name": (422, "bad-name"), "apart": (409, "roles-apart"), "own": (403, "own-account"),
        "unknown": (404, "unknown-account"), "extra": (422, "invalid"),
    }  # fmt: skip


def test_lists_change_revoke_remove(made):
    made.sign_in("oper")

    async def scene(client):
        revoked = await client.post(API + "/accounts/oper/revoke")
        changed = await client.patch(API + "/accounts/oper", json={"disabled": True})
        removed = await client.delete(API + "/accounts/vera")
        return revoked.json(), changed.json(), removed.status_code, (await client.get(API + "/accounts")).json()

    ((revoked, changed, removed, listed),) = visit(made, ("secadm", scene))
    assert revoked == {"name": "oper", "sessions_ended": 1}
    assert (changed["disabled"], changed["roles"]) == (True, ["operator"])
    assert removed == 204
    names = [a["name"] for a in listed["accounts"]]
    assert names == sorted(names)
    assert "vera" not in names
    assert not any("hash" in a for a in listed["accounts"])
    assert listed["roles"]["viewer"] == ["view"]
