# SPDX-License-Identifier: Apache-2.0
"""The door: what each role may do, and what forged, foreign, expired and hurried requests get."""

import asyncio

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from accounts.opened import HOME, WORDS
from room.opened_room import API, PEOPLE, get, kind, post, site, visit
from serai.accounts import NOBODY
from serai.room.app import ROUTERS
from serai.room.door import COOKIE, HEADERS, near, permission_of, undeclared
from serai.room.limits import MOST_CALLERS, Buckets


@pytest.fixture
def made(tmp_path):
    with site(tmp_path) as found:
        yield found


# The contract, written down a second time: who may make a call. Everything else is refused.
EVERYBODY = {*PEOPLE, None}
SIGNED_IN = set(PEOPLE)
OPERATORS, ENGINEERS, KEEPERS, ADMINISTRATORS = {"oper", "olga"}, {"engin"}, {"secaud", "secadm"}, {"secadm"}
MAY = {
    "GET /session": EVERYBODY,
    "POST /session": EVERYBODY,
    "DELETE /session": EVERYBODY,
    "POST /session/password": SIGNED_IN,
    "POST /session/set": EVERYBODY,
    "POST /first": EVERYBODY,
    "GET /accounts": ADMINISTRATORS,
    "POST /accounts": ADMINISTRATORS,
    "PATCH /accounts/{name}": ADMINISTRATORS,
    "DELETE /accounts/{name}": ADMINISTRATORS,
    "POST /accounts/{name}/revoke": ADMINISTRATORS,
    "POST /accounts/{name}/link": ADMINISTRATORS,
    **dict.fromkeys(
        (f"GET /{name}" for name in (
            "case", "network", "layout", "snapshot", "instant", "readings", "trend", "diagnosis", "ahead", "outages",
            "sheets", "plan", "events", "alarms", "alarms/history", "alarms/figures", "alarms/{id}", "log", "health",
        )),
        SIGNED_IN,
    ),
    **dict.fromkeys((f"POST /alarms/{{id}}/{do}" for do in ("acknowledge", "shelve", "unshelve")),
                    OPERATORS | ENGINEERS),
    **dict.fromkeys((f"POST /alarms/{{id}}/{do}" for do in ("suppress", "out-of-service", "into-service")), ENGINEERS),
    "GET /commands": OPERATORS,
    "POST /commands": OPERATORS,
    "POST /commands/{id}/confirm": OPERATORS,
    "POST /commands/{id}/withdraw": OPERATORS,
    "POST /log": OPERATORS | ENGINEERS,
    "POST /notes": OPERATORS | ENGINEERS,
    "GET /audit": KEEPERS,
    "GET /audit/verify": KEEPERS,
    "GET /words/{language}": EVERYBODY,
}  # fmt: skip
CALLS = [(method, route.path) for router in ROUTERS for route in router.routes for method in route.methods]


def test_the_contract_covers_every_call():
    assert {f"{method} {path}" for method, path in CALLS} == set(MAY)


def test_no_role_does_what_it_may_not(made):
    """Every call by everybody: 401 without a session, 403 without the permission, neither of them with it."""
    seen = {}

    async def all_calls(client):
        name = client.headers.get("who") or None
        for method, path in CALLS:
            if path == "/events" and name:  # goes on for ever; tested by itself
                continue
            address = API + path.format(name="vera2", id="nothing", language="en")
            answer = await client.request(method, address, json={} if method in {"POST", "PATCH"} else None)
            seen[f"{method} {path}", name] = answer.status_code, answer.text
            if path == "/session" and method == "DELETE" and name:
                made.tokens.pop(name)
                client.cookies.set(COOKIE, made.sign_in(name), domain="127.0.0.1")
                client.headers["x-serai-csrf"] = made.accounts.session(made.tokens[name]).csrf

    def everybody(name):
        async def scene(client):
            client.headers["who"] = name or ""
            await all_calls(client)

        return name, scene

    visit(made, *map(everybody, [*PEOPLE, None]))
    for (call, name), (status, text) in seen.items():
        if name in MAY[call]:
            assert status not in {401, 403, 500} or "wrong-password" in text, (call, name, text)
        else:
            assert status == (401 if name is None else 403), (call, name, status, text)


def test_a_call_that_does_not_say_who_may_make_it_stops_the_app():
    careless = APIRouter()

    @careless.get("/open")
    def everything():
        return "all"

    assert undeclared([*ROUTERS, careless]) == ["GET /open"]
    assert undeclared(ROUTERS) == []


def test_open_calls_are_the_few_that_must_be():
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert {r.path for r in routes if permission_of(r) == NOBODY} == {
        "/session", "/session/set", "/first", "/words/{language}",
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- sessions


def test_signed_out_learns_nothing_about_what_there_is(made):
    answers = visit(made, *((None, get(path)) for path in ("/case", "/nothing", "/alarms/low1", "/openapi.json")))
    assert {(a.status_code, a.text) for a in answers} == {(401, answers[0].text)}
    assert kind(answers[0]) == "signed-out"
    assert made.desk.asked == []


@pytest.mark.parametrize("cookie", ["x", "", "A" * 43, "A" * 10_000, "' OR 1=1 --", '"quoted"', "é", "a; b"])
def test_forged_cookie(made, cookie):
    async def scene(client):
        return await client.get(API + "/case", headers={"cookie": f"{COOKIE}={cookie}".encode()})

    (answer,) = visit(made, (None, scene))
    assert (answer.status_code, kind(answer)) == (401, "signed-out")


def test_two_session_cookies_are_none(made):
    """Whoever can plant a second cookie (another port of this host) does not choose the session."""
    thief = made.accounts.sign_in("vera", WORDS, HOME)

    async def scene(client):
        both = f"{COOKIE}={made.sign_in('oper')}; {COOKIE}={thief}"
        client.cookies.clear()
        return await client.get(API + "/case", headers={"cookie": both})

    assert visit(made, ("oper", scene))[0].status_code == 401


def test_expired_session(made):
    async def scene(client):
        first = await client.get(API + "/case")
        made.clock.now += 30 * 60
        return first, await client.get(API + "/case"), await client.get(API + "/session")

    ((before, after, session),) = visit(made, ("oper", scene))
    assert (before.status_code, after.status_code) == (200, 401)
    assert session.json()["signed_in"] is False


def test_use_keeps_a_session_and_a_shift_ends_it(made):
    async def scene(client):
        statuses = []
        for _ in range(12 * 3):
            made.clock.now += 20 * 60
            statuses.append((await client.get(API + "/case")).status_code)
        return statuses

    (statuses,) = visit(made, ("oper", scene))
    assert statuses == [200] * 35 + [401]


def test_changed_roles_end_the_session_at_once(made):
    async def scene(client):
        made.accounts.change("oper", by="secadm", held=["viewer"])
        return await client.get(API + "/case")

    assert visit(made, ("oper", scene))[0].status_code == 401


# -------------------------------------------------------------------------------------------------- cross-site calls


@pytest.mark.parametrize("token", [None, "", "0" * 64, "é", "other"])
def test_csrf_token_is_asked_of_every_call_that_changes_something(made, token):
    if token == "other":  # noqa: S105 - which one
        token = made.accounts.session(made.sign_in("olga")).csrf

    async def scene(client):
        del client.headers["x-serai-csrf"]
        headers = {} if token is None else {"x-serai-csrf": token.encode()}
        return await client.post(API + "/alarms/low1/acknowledge", headers=headers)

    (answer,) = visit(made, ("oper", scene))
    assert (answer.status_code, kind(answer)) == (403, "bad-csrf")
    assert "acknowledge" not in made.desk.asked


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_calls_from_other_pages_are_refused_sign_in_included(made, headers):
    body = {"name": "oper", "password": WORDS}
    first, second = visit(
        made,
        (None, post("/session", json=body, headers=headers)),
        ("oper", post("/alarms/low1/acknowledge", headers=headers)),
    )
    assert [kind(first), kind(second)] == ["cross-site"] * 2


def test_a_form_of_another_page_cannot_sign_anybody_in(made):
    """What an HTML form can send is no JSON: refused although the body reads like it."""
    text = f'{{"name": "oper", "password": "{WORDS}"}}'
    for content_type in ("text/plain", "application/x-www-form-urlencoded", None):
        headers = {"content-type": content_type} if content_type else {}
        (answer,) = visit(made, (None, post("/session", content=text, headers=headers)))
        assert answer.status_code == 422
        assert WORDS not in answer.text


def test_own_page_and_programs_come_in(made):
    own = {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}
    answers = visit(
        made,
        ("oper", post("/alarms/low1/acknowledge", headers=own)),
        ("oper", post("/log", json={"text": "from a program"})),
    )
    assert [a.status_code for a in answers] == [200, 201]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.", "[::2]:80", "a:1:2"])
def test_other_hosts_are_refused(made, host):
    (answer,) = visit(made, ("oper", get("/case", headers={"host": host})))
    assert (answer.status_code, kind(answer)) == (403, "wrong-host")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:8080", "[::1]"])
def test_own_hosts_come_in(made, host):
    assert visit(made, ("oper", get("/case", headers={"host": host})))[0].status_code == 200


# --------------------------------------------------------------------------------------------------- headers, limits


def test_every_answer_carries_the_headers(made):
    async def scene(client):
        return [
            await client.get(path)
            for path in ("/", "/nothing", API + "/case", API + "/nothing", "/healthz", "/metrics", API + "/session")
        ]

    answers = visit(made, ("oper", scene), (None, scene))
    for answer in (*answers[0], *answers[1]):
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert [a.headers["cache-control"] for a in answers[0][2:4]] == ["no-store"] * 2
    rules = dict(rule.strip().split(" ", 1) for rule in HEADERS["content-security-policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert {name for name, sources in rules.items() if "unsafe" in sources} == {"style-src-attr"}
    assert {source for sources in rules.values() for source in sources.split()} == {
        "'self'",
        "'none'",
        "data:",
        "'unsafe-inline'",
    }  # nothing from elsewhere


def test_over_tls_the_cookie_is_secure_and_the_browser_comes_back_over_tls(made):
    async def go(base):
        async with made.client(base=base) as client:
            return await client.post(API + "/session", json={"name": "oper", "password": WORDS})

    plain, tls = (asyncio.run(go(base)) for base in ("http://127.0.0.1", "https://127.0.0.1"))
    assert "Secure" not in plain.headers["set-cookie"]
    assert all(word in tls.headers["set-cookie"] for word in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"))
    assert "max-age" in tls.headers["strict-transport-security"]
    assert "strict-transport-security" not in plain.headers


def test_too_many_requests(tmp_path):
    with site(tmp_path, per_second=1.0, burst=10) as made:

        async def scene(client):
            return [await client.get(API + "/case") for _ in range(15)]

        one, other = visit(made, ("oper", scene), ("vera", scene))
        for answers in (one, other):  # one account does not use up what another has
            assert [a.status_code for a in answers] == [200] * 10 + [429] * 5
            assert int(answers[-1].headers["retry-after"]) >= 1
            assert kind(answers[-1]) == "too-fast"


def test_a_bucket_fills_again_and_callers_are_forgotten():
    now = [0.0]
    buckets = Buckets(2.0, 3, clock=lambda: now[0])
    assert [buckets.wait("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    now[0] = 0.5
    assert [buckets.wait("a"), buckets.wait("a")] == [0.0, 0.5]
    for i in range(MOST_CALLERS + 50):
        buckets.wait(str(i))
    assert len(buckets._left) == MOST_CALLERS


def test_a_body_has_an_end(made):
    answers = visit(
        made,
        ("oper", post("/log", json={"text": "x" * 2001})),
        ("oper", post("/log", content=b"{" + b" " * 70_000 + b"}", headers={"content-type": "application/json"})),
        ("oper", post("/log", content=b"[" * 30_000, headers={"content-type": "application/json"})),
    )
    assert [a.status_code for a in answers] == [422, 413, 400]
    assert [kind(a) for a in answers] == ["invalid", "too-large", "invalid"]


def test_a_websocket_is_refused(made):
    sent = []

    async def go():
        async def send(message):
            sent.append(message)

        await made.app({"type": "websocket", "path": "/", "headers": []}, None, send)

    asyncio.run(go())
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("client", "headers", "expected"),
    [
        (("127.0.0.1", 1), [], True),
        (("::1", 1), [], True),
        (("127.0.0.1", 1), [(b"x-forwarded-for", b"9.9.9.9")], False),
        (("10.0.0.1", 1), [], False),
        (("unknown", 1), [], False),
        (None, [], False),
    ],
)
def test_who_is_near(client, headers, expected):
    assert near({"type": "http", "client": client, "headers": headers}) is expected


def test_a_fault_says_its_name_and_nothing_else(made, capsys):
    async def broken():
        value = "the value of a variable"
        raise ZeroDivisionError("inside" if value else "")

    made.desk.case = broken
    (answer,) = visit(made, ("oper", get("/case")))
    assert (answer.status_code, kind(answer)) == (500, "fault")
    assert "ZeroDivisionError" in answer.text
    assert "inside" not in answer.text
    said = capsys.readouterr()
    assert "ZeroDivisionError: inside" in said.out + said.err  # the log has it, without what variables held
    assert "the value of a variable" not in said.out + said.err


def test_refusals_of_a_role_are_recorded(made):
    visit(made, ("vera", get("/audit")))
    assert made.recorded()[-1] == (
        "vera", "refused", {"where": "GET /api/v1/audit", "needs": "read-audit", "roles": ["viewer"]},
    )  # fmt: skip


def test_a_request_before_the_room_is_asked_in_vain_leaves_nothing_open(made):
    """A client that goes away in the middle of an answer is no fault."""

    async def go():
        made.desk.slow_s = 5.0
        async with made.client("oper") as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.get(API + "/case"), 0.05)
        made.desk.slow_s = 0.0
        async with made.client("oper") as client:
            return await client.get(API + "/case")

    assert isinstance(asyncio.run(go()), httpx.Response)
    assert made.room.asked._value == 32
