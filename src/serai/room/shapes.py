# SPDX-License-Identifier: Apache-2.0
"""The shapes of answers, as OpenAPI states them. None (null) = not known, never zero; units stand beside values.

Answers of the desk are sent as it gave them (a model that rejects a field would turn a new field into an outage); the
tests hold them against these models.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serai.room.given import Moment

Time = str  # ISO 8601, UTC, with Z
Words = dict[str, Any]  # {key, parameters}: said in any language by the catalogue
Number = float | None


class Shape(BaseModel):
    """An answer; further fields may come with later versions."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class Error(Shape):
    """What went wrong, in one word, in words, and what helps."""

    kind: str
    message: str
    what_to_do: str


class Refusal(Shape):
    """The body of every answer with status 400 and above."""

    error: Error


# -------------------------------------------------------------------------------------------------------- accounts


class SignedIn(Shape):
    """Who is signed in; `first_run` = there is no account yet."""

    signed_in: bool
    name: str | None
    roles: list[str]
    permissions: list[str]
    csrf: str | None
    expires: Time | None
    first_run: bool


class AccountShown(Shape):
    """An account; `ready` = it has a password."""

    name: str
    roles: list[str]
    disabled: bool
    ready: bool
    created: Time
    changed: Time
    seen: Time | None


class AccountsShown(Shape):
    """All accounts, and what roles there are."""

    accounts: list[AccountShown]
    roles: dict[str, list[str]]


class Link(Shape):
    """A one-time address at which the owner of an account sets its password."""

    name: str
    link: str
    expires: Time


class Ended(Shape):
    """How many sessions ended."""

    name: str
    sessions_ended: int


# ------------------------------------------------------------------------------------------------------ what there is


class CaseShown(Shape):
    """What this room is about."""

    name: str
    title: str
    time_zone: str
    has_map: bool
    languages: list[str]
    synthetic: bool
    version: str
    page: str | None  # version of the page that is served
    field_writes: bool


class Element(Shape):
    """One element of the network."""

    id: str
    kind: str
    name: str
    carrier: str
    confidence: str | None
    synthetic: bool


class NetworkShown(Shape):
    """All elements."""

    elements: list[Element]
    outlines: Any | None = None


class Place(Shape):
    """What one place of the live arrays is."""

    quantity: str
    where: str
    unit: str
    decimals: int
    tag: str | None
    low: Number
    high: Number
    sigma: Number


class Layout(Shape):
    """The order of all live arrays."""

    version: str | int
    values: list[Place]


# -------------------------------------------------------------------------------------------------------- what is so


class Snapshot(Shape):
    """One scan: arrays in the order of the layout; a scan of the past has no sequence."""

    sequence: int | None
    time: Time
    estimate: list[Number]
    sigma: list[Number]
    measured: list[Number]
    quality: list[int]
    source: list[str | None] | str
    key: dict[str, Any]
    exports: list[dict[str, Any]]
    tally: dict[str, Any]
    health: dict[str, Any]


class Reading(Shape):
    """The newest reading of one instrument."""

    tag: str
    quantity: str
    where: str
    value: Number
    unit: str
    quality: list[str]
    age_s: Number


class Loop(Shape):
    """How the loop does; status `down` = it does not answer the room."""

    status: str
    sequence: int | None
    period_s: Number
    stages: list[dict[str, Any]]
    behind_s: Number


class Health(Shape):
    """How the loop, the sources, the history, the processes and the room do."""

    loop: Loop
    sources: list[dict[str, Any]]
    history: dict[str, Any]
    processes: list[dict[str, Any]]
    quality: dict[str, Any] | None
    room: dict[str, int]


class Diagnosis(Shape):
    """What is wrong, ranked, each with the set of elements that it may be."""

    time: Time
    findings: list[dict[str, Any]]
    residuals: list[dict[str, Any]]
    unobservable: list[Any]


class Bounds(Shape):
    """The limits of a quantity."""

    low: Number
    high: Number


class Foreseen(Shape):
    """The course of one quantity, and its limits."""

    quantity: str
    where: str
    unit: str
    time: list[Time]
    value: list[Number]
    limit: Bounds


class Reached(Shape):
    """A limit that is reached: by which element, when, in how many hours, and the worst value of the time."""

    element: str
    quantity: str
    unit: str
    value: float
    limit: float
    time: Time
    hours: float
    words: Words


class Survived(Shape):
    """How long the loss of one element is outlived [h]; null = to the end, or there is no answer: see `status`."""

    lost: str
    status: str
    reason: str
    hours: Number
    first: str | None  # element that breaks first


class Ahead(Shape):
    """The hours to come; `stopped` = why the look ended before its time."""

    from_: Time = Field(alias="from")
    made: Time
    hours: float
    stopped: str
    series: list[Foreseen]
    reached: list[Reached]
    survival: list[Survived]
    basis: str


class Unserved(Shape):
    """What is not served: gas [million m3 a day], power [MW]."""

    gas: Number
    power: Number


class Lost(Shape):
    """What the loss of one element would do: how many limits it breaks, what is not served."""

    lost: str
    status: str
    severity: Literal["no answer", "unserved", "limits", "none"]
    finding: str
    broken: int
    unserved: Unserved
    words: Words


class Outages(Shape):
    """What every single loss would do now, the worst first; `examined` = how many there are."""

    made: Time
    examined: int
    took_s: float
    cases: list[Lost]


class Volume(Shape):
    """What one element took or gave in a gas day, and for which share of it that is known."""

    element: str
    term: Literal["in", "out", "plants", "stations"]
    volume: float
    known: float


class Sheets(Shape):
    """The balance of a gas day; what is left over went into linepack or was lost."""

    day: str | None
    start: Time
    end: Time
    until: Time
    unit: str
    totals: dict[str, float]
    into_linepack_or_lost: float
    known: float
    rows: list[Volume]


class Flow(Shape):
    """What a corridor carries to a market, year by year."""

    name: str
    market: str
    volume: list[Number]


class Plan(Shape):
    """The last computed plan: volumes in `unit`, money in `money`. What was not asked of it is absent."""

    title: str
    made: Time
    unit: str
    money: str
    years: list[int]
    value: Number
    bound: Number
    gap: Number
    flows: list[Flow]
    shares: list[dict[str, Any]]
    certificate: list[dict[str, Any]]
    builds: list[dict[str, Any]]


class Series(Shape):
    """One series of a trend: columns of equal length."""

    quantity: str
    where: str
    unit: str
    time: list[Time]
    measured: list[Number]
    estimate: list[Number]
    sigma: list[Number]


class Trend(Shape):
    """Series between two times."""

    start: Time
    end: Time
    series: list[Series]


# ------------------------------------------------------------------------------------------------------------ alarms


class AlarmShown(Shape):
    """One alarm as it is now."""

    id: str
    key: str
    state: Literal["normal", "unacknowledged", "acknowledged", "returned", "shelved", "suppressed", "out-of-service"]
    priority: Literal["urgent", "high", "low", "data"]
    kind: str
    words: Words
    text: str
    element: str | None
    value: Number
    limit: Number
    unit: str | None
    began: Time | None
    changed: Time | None
    cause: str
    consequence: str
    response: str
    time_to_respond_s: Number


class Happened(Shape):
    """One change of an alarm: what, from which state to which, by whom and why."""

    time: Time | None
    event: str
    before: str
    after: str
    who: str | None
    why: str | None


class AlarmFigures(Shape):
    """Figures after EEMUA 191."""


# ---------------------------------------------------------------------------------------------------- commands, log


class CommandShown(Shape):
    """A command, and what the twin says that it will do."""

    id: str
    quantity: str
    where: str
    value: Number
    unit: str
    reason: str
    proposed_by: str
    state: Literal["proposed", "predicted", "refused", "confirmed", "sent", "done", "failed", "withdrawn", "expired"]
    effect: dict[str, Any] | None
    refused_because: str | dict[str, Any] | None
    confirm_before: Time | None


class Entry(Shape):
    """One entry of the shift log."""

    time: Time
    who: str
    text: str


class RecordShown(Shape):
    """Who did what; `log` names the file, `n` counts in it, `who` "" = the system."""

    log: str
    n: int
    time: Time
    who: str
    what: str
    about: dict[str, Any]


class Records(Shape):
    """Records of the audit, oldest first."""

    records: list[RecordShown]


class LogVerdict(Shape):
    """What checking one log found; `unsigned` = records after the last signed head; `head` = to be kept elsewhere."""

    log: str
    whole: bool
    says: str
    records: int
    heads: int
    unsigned: int
    key: str
    head: dict[str, Any] | None


class Verdict(Shape):
    """Whether all logs of the audit are whole."""

    whole: bool
    logs: list[LogVerdict]


# ----------------------------------------------------------------------------------------------------- what is sent


class Sent(BaseModel):
    """A body: unknown fields are mistakes, texts have an end."""

    model_config = ConfigDict(extra="forbid", str_max_length=2000)


class SignIn(Sent):
    """A name and a password."""

    name: str = Field(max_length=200)
    password: str = Field(max_length=1024)


class First(SignIn):
    """The first security administrator, with the token of the link printed at first start."""

    token: str = Field(max_length=200)


class SetPassword(Sent):
    """A password, with the token of a one-time link."""

    token: str = Field(max_length=200)
    password: str = Field(max_length=1024)


class ChangePassword(Sent):
    """The old password and the new one."""

    old: str = Field(max_length=1024)
    new: str = Field(max_length=1024)


class NewAccount(Sent):
    """An account to add; its owner sets the password at the link that is answered."""

    name: str = Field(max_length=200)
    roles: list[str] = Field(max_length=10)


class ChangedAccount(Sent):
    """What to change of an account; a field that is not given stays."""

    roles: list[str] | None = Field(None, max_length=10)
    disabled: bool | None = None


Reason = Field(min_length=3, max_length=500)


class Shelve(Sent):
    """For how long, and why."""

    minutes: float = Field(gt=0, le=7 * 24 * 60, allow_inf_nan=False)
    reason: str = Reason


class Suppress(Sent):
    """Until when, and why."""

    until: Moment
    reason: str = Reason


class OutOfService(Sent):
    """Under which permit, and why."""

    permit: str = Field(min_length=1, max_length=200)
    reason: str = Reason


class IntoService(Sent):
    """Why."""

    reason: str = Reason


class Command(Sent):
    """A set-point to give to the field."""

    quantity: str = Field(min_length=1, max_length=100)
    where: str = Field(min_length=1, max_length=200)
    value: float = Field(allow_inf_nan=False)
    unit: str = Field(max_length=40)
    reason: str = Reason


class Text(Sent):
    """Words for the shift log, about something or in general."""

    text: str = Field(min_length=1)
    subject: str = Field("", max_length=200)


class Note(Sent):
    """Words about an alarm or an element."""

    text: str = Field(min_length=1)
    subject: str = Field(min_length=1, max_length=200)
