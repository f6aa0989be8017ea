# SPDX-License-Identifier: Apache-2.0
"""Health, figures for Prometheus, the words of the page."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from room.opened_room import get, kind, site, visit


@pytest.fixture
def made(tmp_path):
    with site(tmp_path, metrics_token="open sesame, please") as found:  # noqa: S106 - of this test
        yield found


def figures(path="/metrics", **options):
    async def scene(client):
        return await client.get(path, **options)

    return scene


def test_figures_are_read_by_prometheus_own_parser(made):
    (answer,) = visit(made, (None, figures()), listening=True)
    found = {
        (s.name, *sorted(s.labels.items())): s.value
        for family in text_string_to_metric_families(answer.text)
        for s in family.samples
    }
    assert found["serai_source_up", ("protocol", "iec104"), ("source", "Town A")] == 1.0
    assert found["serai_loop_stage_seconds", ("quantile", "0.99"), ("stage", "estimate")] == 0.005
    assert found["serai_readings", ("quality", "bad")] == 1.0
    assert found[("serai_loop_period_seconds",)] == 60.0


def test_figures_are_for_this_machine_or_with_the_token(made):
    import asyncio

    async def from_afar(headers):
        async with made.client(address="10.1.2.3") as client:
            return await client.get("/metrics", headers=headers)

    refused, wrong, right = (
        asyncio.run(from_afar(h))
        for h in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer open sesame, please"})
    )
    assert [a.status_code for a in (refused, wrong, right)] == [403, 403, 200]
    (proxied,) = visit(made, (None, figures(headers={"x-forwarded-for": "9.9.9.9"})))
    assert (proxied.status_code, kind(proxied)) == (403, "forbidden")


def test_health_without_sign_in_is_counts_only(made):
    (answer,) = visit(made, (None, figures("/healthz")), listening=True)
    assert set(answer.json()) == {"room", "loop", "clients", "behind"}


def test_words_are_for_everybody_and_cached_by_their_tag(made):
    first, unknown, odd = visit(
        made, (None, get("/words/tk")), (None, get("/words/xx")), (None, get("/words/..%2Fetc"))
    )
    assert first.json()["language"] == "tk"
    assert first.json()["numbers"]["decimal"] == ","
    (again,) = visit(made, (None, get("/words/tk", headers={"if-none-match": first.headers["etag"]})))
    assert (again.status_code, unknown.status_code) == (304, 404)
    assert odd.status_code in {401, 404, 422}
