# SPDX-License-Identifier: Apache-2.0
"""The same answers as tables: an Arrow stream for those who ask for one (pandas, Polars, DuckDB, R read it).

The schemas stand here, so a column that is all null today has the type that it has tomorrow.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from serai.twin.desk import Plain

MEDIA = "application/vnd.apache.arrow.stream"
STAMP = pa.timestamp("us", "UTC")

READINGS = pa.schema(
    [("tag", pa.string()), ("quantity", pa.string()), ("where", pa.string()), ("value", pa.float64()),
     ("unit", pa.string()), ("quality", pa.list_(pa.string())), ("age_s", pa.float64()), ("residual", pa.float64()),
     ("estimate", pa.float64()), ("sigma", pa.float64())]
)  # fmt: skip
TREND = pa.schema(
    [("quantity", pa.string()), ("where", pa.string()), ("unit", pa.string()), ("time", STAMP),
     ("measured", pa.float64()), ("estimate", pa.float64()), ("sigma", pa.float64())]
)  # fmt: skip
SNAPSHOT = pa.schema(
    [("quantity", pa.string()), ("where", pa.string()), ("unit", pa.string()), ("tag", pa.string()),
     ("estimate", pa.float64()), ("sigma", pa.float64()), ("measured", pa.float64()), ("quality", pa.int32()),
     ("source", pa.string())]
)  # fmt: skip
HISTORY = pa.schema(
    [("time", STAMP), ("event", pa.string()), ("before", pa.string()), ("after", pa.string()), ("who", pa.string()),
     ("why", pa.string()), ("alarm", pa.string()), ("key", pa.string()), ("priority", pa.string()),
     ("element", pa.string())]
)  # fmt: skip


def wanted(request: Request) -> bool:
    """Return whether the client asks for Arrow."""
    return MEDIA in request.headers.get("accept", "")


def readings(rows: Sequence[Plain]) -> pa.Table:
    """Return readings, a row each."""
    return pa.Table.from_pylist(list(rows), schema=READINGS)


def trend(answer: Plain) -> pa.Table:
    """Return a trend in long form: a row for each series and time."""
    parts = [
        pa.Table.from_pydict(
            {
                **{name: [series[name]] * len(series["time"]) for name in ("quantity", "where", "unit")},
                "time": _times(series["time"]),
                **{name: series[name] for name in ("measured", "estimate", "sigma")},
            },
            schema=TREND,
        )
        for series in answer["series"]
    ]
    return pa.concat_tables(parts) if parts else TREND.empty_table()


def snapshot(answer: Plain, layout: Plain) -> pa.Table:
    """Return a scan, a row for each place of the layout; when it was is in the schema's metadata."""
    places = layout["values"]
    columns: dict[str, Any] = {name: [p[name] for p in places] for name in ("quantity", "where", "unit", "tag")}
    columns |= {name: answer[name] for name in ("estimate", "sigma", "measured", "quality")}
    columns["source"] = list(answer["source"])
    said = {name: str(answer[name]) for name in ("sequence", "time") if answer[name] is not None}
    return pa.Table.from_pydict(columns, schema=SNAPSHOT).replace_schema_metadata(said)


def history(rows: Sequence[Plain]) -> pa.Table:
    """Return what happened to alarms, a row each."""
    flat = [{**row, **_of_alarm(row.get("alarm")), "time": _time(row["time"])} for row in rows]
    return pa.Table.from_pylist(flat, schema=HISTORY)


def _of_alarm(alarm: Mapping[str, Any] | str | None) -> dict[str, Any]:
    if isinstance(alarm, dict):
        return {"alarm": alarm.get("id"), **{name: alarm.get(name) for name in ("key", "priority", "element")}}
    return {"alarm": alarm}


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _times(texts: Sequence[str | None]) -> list[datetime | None]:
    return [_time(text) for text in texts]


def response(table: pa.Table) -> Response:
    """Return a table as an answer."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=MEDIA, headers={"vary": "Accept"})
