# SPDX-License-Identifier: Apache-2.0
"""Signing in over HTTP: fixation, brute force, the first administrator; nothing secret in the records."""

import asyncio

import pytest

from accounts.opened import HOME, WORDS
from room.opened_room import API, get, kind, post, site, visit

OTHER = "nine slow tortoises sing"


@pytest.fixture
def made(tmp_path):
    with site(tmp_path) as found:
        yield found


def body(name="oper", password=WORDS):
    return {"json": {"name": name, "password": password}}


def test_sign_in_act_and_out(made):
    async def scene(client):
        before = (await client.get(API + "/session")).json()
        signed = await client.post(API + "/session", **body())
        client.headers["x-serai-csrf"] = signed.json()["csrf"]
        done = await client.post(API + "/alarms/low1/acknowledge")
        out = await client.delete(API + "/session")
        return before, signed, done, out, await client.get(API + "/case")

    ((before, signed, done, out, after),) = visit(made, (None, scene))
    assert (before["signed_in"], before["permissions"], before["csrf"]) == (False, [], None)
    assert signed.json()["permissions"] == ["command", "handle-alarms", "view", "write-log"]
    cookie = signed.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert [a.status_code for a in (done, out, after)] == [200, 204, 401]
    assert [r[:2] for r in made.recorded()[-3:]] == [
        ("oper", "signed in"),
        ("oper", "acknowledge"),
        ("oper", "signed out"),
    ]


def test_session_fixation_over_http(made):
    """A token that was in the browser before signing in opens nothing after, whoever put it there."""
    planted = made.accounts.sign_in("vera", WORDS, HOME)

    async def scene(client):
        client.cookies.set("serai_session", planted)
        signed = await client.post(API + "/session", **body())
        return signed.headers["set-cookie"]

    async def thief(client):
        return await client.get(API + "/case", headers={"cookie": f"serai_session={planted}"})

    cookie, answer = visit(made, (None, scene), (None, thief))
    assert planted not in cookie
    assert answer.status_code == 401


def test_a_made_up_token_is_not_adopted(made):
    async def scene(client):
        client.cookies.set("serai_session", "chosen-by-the-thief")
        return await client.post(API + "/session", **body())

    (signed,) = visit(made, (None, scene))
    assert "chosen-by-the-thief" not in signed.headers["set-cookie"]
    assert made.accounts.session("chosen-by-the-thief") is None


def test_brute_force_is_answered_429_and_looks_the_same_for_unknown_names(made):
    async def tries(client, name):
        found = [await client.post(API + "/session", **body(name, f"guess number {i}")) for i in range(7)]
        return [(a.status_code, a.text) for a in found], found[-1].headers.get("retry-after")

    async def scene(client):
        return await tries(client, "oper"), await tries(client, "nobody")

    (((known, wait), (unknown, _)),) = visit(made, (None, scene))
    assert known == unknown
    assert [status for status, _ in known] == [401] * 5 + [429] * 2
    assert int(wait) == 5


def test_passwords_tried_at_once_all_count_and_the_loop_goes_on(made):
    async def go():
        async with made.client() as client:
            answers = await asyncio.gather(*(client.post(API + "/session", **body(password=str(i))) for i in range(20)))
        return [a.status_code for a in answers]

    statuses = asyncio.run(go())
    assert (statuses.count(401), statuses.count(429)) == (5, 15)


def test_unready_and_disabled_accounts_look_like_wrong_passwords(made):
    made.accounts.add("fresh", ["viewer"], by="secadm")
    made.accounts.change("vera", by="secadm", disabled=True)
    answers = visit(made, *((None, post("/session", **body(name))) for name in ("fresh", "vera", "nobody")))
    assert {(a.status_code, a.text) for a in answers} == {(401, answers[0].text)}


def test_change_of_password_gives_a_new_session_and_ends_the_others(made):
    stolen = made.accounts.sign_in("oper", WORDS, HOME)

    async def scene(client):
        wrong = await client.post(API + "/session/password", json={"old": "guess", "new": OTHER})
        weak = await client.post(API + "/session/password", json={"old": WORDS, "new": "short"})
        changed = await client.post(API + "/session/password", json={"old": WORDS, "new": OTHER})
        return wrong, weak, changed, await client.get(API + "/case")

    ((wrong, weak, changed, after),) = visit(made, ("oper", scene))
    assert [(a.status_code, kind(a)) for a in (wrong, weak)] == [(401, "wrong-password"), (422, "weak-password")]
    assert changed.status_code == after.status_code == 200
    assert made.accounts.session(stolen) is None


def test_the_first_administrator_comes_in_by_the_link_once(tmp_path):
    from accounts.opened import opened
    from room.small_desk import SmallDesk
    from serai.room import Options, create, trail

    audit = trail.opened(tmp_path, "room")
    accounts, _, _ = opened(tmp_path)
    accounts._append = audit.append
    app = create(SmallDesk(), accounts, audit, Options(page=tmp_path))
    link = accounts.first_link()

    async def go():
        import httpx

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            out = [(await client.get(API + "/session")).json()["first_run"]]
            for token, password in (("wrong", WORDS), (link, "short"), (link, WORDS), (link, WORDS)):
                sent = {"token": token, "name": "merdan", "password": password}
                out.append((await client.post(API + "/first", json=sent)).status_code)
            out.append((await client.get(API + "/session")).json()["first_run"])
            out.append((await client.post(API + "/session", **body("merdan"))).json()["roles"])
            return out

    assert asyncio.run(go()) == [True, 403, 422, 204, 403, False, ["security administrator"]]
    accounts.close()
    audit.close()


def test_no_secret_is_in_the_audit(made, tmp_path):
    async def scene(client):
        signed = await client.post(API + "/session", **body())
        client.headers["x-serai-csrf"] = signed.json()["csrf"]
        await client.post(API + "/session", **body("a password typed as a name", "x"))
        await client.post(API + "/session/password", json={"old": WORDS, "new": OTHER})
        return signed.json()["csrf"], signed.cookies["serai_session"]

    async def admin(client):
        return (await client.post(API + "/accounts/vera/link")).json()["link"].partition("=")[2]

    ((csrf, token), link) = visit(made, (None, scene), ("secadm", admin))
    text = (tmp_path / "audit" / "room.audit").read_text(encoding="utf-8")
    for secret in (WORDS, OTHER, csrf, token, link, "typed as a name"):
        assert secret not in text


def test_who_asks_for_the_session_says_when_it_ends(made):
    (answer,) = visit(made, ("vera", get("/session")))
    assert answer.json()["expires"] == "2026-11-22T14:33:00.000Z"  # half an hour after 14:03
