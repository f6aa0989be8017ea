# SPDX-License-Identifier: Apache-2.0
"""Every call of the OpenAPI with generated input, by every role: no fault, nothing above the role, as described.

SERAI_FUZZ sets how many inputs each call gets from each role (3 here; 200 is a run of half an hour).
"""

import json
import os
from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error

from room.opened_room import API, PEOPLE, get, site, visit
from room.test_door import MAY

EXAMPLES = int(os.environ.get("SERAI_FUZZ", "3"))
NAMES = [None, *PEOPLE]
ENDLESS = "/events"  # a stream; tests/room/test_events.py reads it


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with site(tmp_path_factory.mktemp("fuzz"), per_second=1e9, burst=10**9) as found:
        yield found


@pytest.fixture(scope="module")
def schema(made):
    found = schemathesis.openapi.from_dict(made.app.openapi())
    found.app = made.app
    return found


def calls(schema):
    return [found.ok() for found in schema.get_all_operations() if not found.ok().path.endswith(ENDLESS)]


@pytest.mark.parametrize("name", NAMES)
def test_no_fault_and_nothing_above_the_role(made, schema, name):
    statuses = Counter()
    for operation in calls(schema):
        _with_inputs(made, operation, name, statuses)
    assert {call for call, _ in statuses} == set(MAY) - {f"GET {ENDLESS}"}  # a call without input is made once
    assert not any(status >= 500 for _, status in statuses)
    done = {call for call, status in statuses if status < 300}
    assert done <= {call for call in MAY if name in MAY[call]}


def _with_inputs(made, operation, name, statuses):
    """Send generated inputs to one call as somebody, and hold the answers against the description."""
    call = f"{operation.method.upper()} {operation.path.removeprefix(API)}"

    @seed(len(call))
    @settings(max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy())
    def go(case):
        cookies, headers = {}, {}
        if name is not None:
            if made.accounts.session(made.sign_in(name)) is None:  # it signed itself out
                del made.tokens[name]
            session = made.accounts.session(made.sign_in(name))
            cookies, headers = {"serai_session": made.tokens[name]}, {"x-serai-csrf": session.csrf}
        answer = case.call(base_url="http://127.0.0.1", cookies=cookies, headers=headers)
        statuses[call, answer.status_code] += 1
        if name not in MAY[call]:
            assert answer.status_code == (401 if name is None else 403), (call, name, answer.text)
        case.validate_response(
            answer,
            checks=[
                not_a_server_error,
                schemathesis.checks.CHECKS.get_one("status_code_conformance"),
                schemathesis.checks.CHECKS.get_one("content_type_conformance"),
                schemathesis.checks.CHECKS.get_one("response_schema_conformance"),
            ],
        )

    go()


def test_the_description_names_every_call_and_its_refusals(made):
    described = made.app.openapi()
    assert {
        f"{method.upper()} {path.removeprefix(API)}" for path, item in described["paths"].items() for method in item
    } == set(MAY)
    for path, item in described["paths"].items():
        for method, call in item.items():
            assert {"401", "403", "422", "429", "503"} <= set(call["responses"]), (method, path)
            assert call["summary"]
            assert call["description"]


def test_the_description_is_for_those_who_are_signed_in(made):
    out, inside = visit(made, (None, get("/openapi.json")), ("vera", get("/openapi.json")))
    assert out.status_code == 401
    assert inside.json()["openapi"].startswith("3.1")
    assert "password" not in json.dumps(inside.json()["paths"]["/api/v1/session"]["get"])
