# SPDX-License-Identifier: Apache-2.0
"""What calls take in their addresses: times, limits, identities, each checked before anything is asked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import AfterValidator, BeforeValidator

from serai import units
from serai.errors import BadTimes

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
SERIES = 20
POINTS = 5000
BEYOND = f"must lie between the years {EARLIEST.year} and {LATEST.year}"


def iso(when: datetime) -> str:
    """Return a time as the desk takes it: ISO 8601, UTC, with Z."""
    return units.iso(when.timestamp())


def _moment(value: object) -> object:
    """Take ISO 8601 with a zone only: a bare number or a local time is a guess about what was meant."""
    try:
        seconds = units.moment(str(value))
    except ValueError:
        raise ValueError("write ISO 8601 with a zone: 2026-11-22T14:00:00Z") from None
    if not EARLIEST.timestamp() <= seconds <= LATEST.timestamp():
        raise ValueError(BEYOND)
    return datetime.fromtimestamp(seconds, UTC)


def _day(when: date) -> date:
    if not EARLIEST.date() <= when <= LATEST.date():
        raise ValueError(BEYOND)
    return when


Moment = Annotated[datetime, BeforeValidator(_moment)]
Day = Annotated[date, AfterValidator(_day)]
Limit = Annotated[int, Query(ge=1, le=10_000, description="Most rows of the answer.")]
Id = Annotated[str, Path(min_length=1, max_length=200)]
Name = Annotated[str, Path(min_length=1, max_length=200)]
Points = Annotated[int, Query(ge=2, le=POINTS, description="Most points of each series.")]
SeriesGiven = Annotated[
    list[str], Query(min_length=1, max_length=SERIES, description="quantity:where, given once for each series.")
]


def _span(start: Moment, end: Moment) -> tuple[str, str]:
    """Return two times as the desk takes them; BadTimes when they stand the wrong way round."""
    if not start < end:
        raise BadTimes(f"start {iso(start)} must lie before end {iso(end)}")
    return iso(start), iso(end)


Span = Annotated[tuple[str, str], Depends(_span)]
