# SPDX-License-Identifier: Apache-2.0
"""Ensembles beyond one machine, one memory, one sitting: nothing is lost with a worker, nothing is done twice."""

import importlib
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import xarray as xr

import serai as sr
from serai.errors import SeraiError
from simulate.small import line, line_knowns

module = importlib.import_module("serai.simulate.ensemble")


def tables(count=5, rows=64):
    """Tables of withdrawals, one after the other, with a row that cannot flow and one that misses its value."""
    for k in range(count):
        values = np.random.default_rng(k).uniform(20.0, 60.0, rows)
        values[[3, 7]] = 1e4, np.nan
        yield {"withdrawal@town": values}


def whole(count=5):
    values = np.concatenate([t["withdrawal@town"] for t in tables(count)])
    return sr.ensemble(line(), {"withdrawal@town": values}, knowns=line_knowns())


def check_same(found, want):
    np.testing.assert_array_equal(found.dataset["status"].values, want.dataset["status"].values)
    assert found.failed == want.failed
    if "pressure" in found.dataset:
        np.testing.assert_allclose(found.dataset["pressure"].values, want.dataset["pressure"].values, rtol=1e-9)


def test_what_is_interrupted_is_taken_up_where_it_stopped(tmp_path):
    def interrupted():
        for k, table in enumerate(tables()):
            if k == 3:
                raise KeyboardInterrupt
            yield table

    with pytest.raises(KeyboardInterrupt):
        sr.ensemble(line(), interrupted(), knowns=line_knowns(), to=tmp_path)
    written = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("part-*.nc")}
    assert sorted(written) == ["part-000000.nc", "part-000001.nc", "part-000002.nc"]
    (tmp_path / "part-000001.nc").write_bytes(b"half a")  # as if the machine had stopped while it was written
    (tmp_path / "part-000001.nc").rename(tmp_path / "part-000001.partial")
    found = sr.ensemble(line(), tables(), knowns=line_knowns(), to=tmp_path)
    again = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("part-*.nc")}
    assert len(again) == 5
    assert again["part-000000.nc"] == written["part-000000.nc"]
    assert again["part-000002.nc"] == written["part-000002.nc"]
    want = whole()
    check_same(found, want)
    assert "the pressure would fall below zero at B" in found.failed[64 + 3]
    parts = [xr.load_dataset(tmp_path / name, engine="h5netcdf") for name in sorted(again)]
    pressures = np.concatenate([p["pressure"].values for p in parts])
    np.testing.assert_allclose(pressures, want.dataset["pressure"].values, rtol=1e-9)
    assert [str(s) for p in parts for s in p["status"].values] == list(want.dataset["status"].values)
    with pytest.raises(SeraiError, match="another ensemble"):
        sr.ensemble(line(), tables(), knowns=line_knowns(60.0), to=tmp_path, outputs=["pressure"])


def test_a_summary_takes_a_few_bytes_a_scenario(tmp_path):
    found = sr.ensemble(line(), tables(2), knowns=line_knowns(), to=tmp_path)
    assert set(found.dataset.data_vars) == {"status", "mismatch", "iterations"}
    assert len(found.failed) == 4


def test_a_killed_process_loses_no_scenario():
    """Spawned, as everywhere: the pool breaks, and what its workers had is done here."""
    values = np.concatenate([t["withdrawal@town"] for t in tables()])
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        killed = []

        def kill_one(share):
            if not killed:
                killed.append(next(iter(pool._processes)))
                os.kill(killed[0], signal.SIGKILL)

        found = sr.ensemble(
            line(), {"withdrawal@town": values}, knowns=line_knowns(), executor=pool, chunk=16, progress=kill_one
        )  # fmt: skip
    assert killed
    check_same(found, whole())


def test_two_dask_workers_share_a_table_and_one_of_them_is_killed():
    distributed = pytest.importorskip("distributed")
    values = np.concatenate([t["withdrawal@town"] for t in tables(10)])
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = client.run(os.getpid)
        assert len(workers) == 2
        killed = []

        def kill_one(share):
            if not killed and share > 0.2:
                killed.append(next(iter(workers.values())))
                os.kill(killed[0], signal.SIGKILL)

        found = sr.ensemble(
            line(), {"withdrawal@town": values}, knowns=line_knowns(), executor=client, chunk=16, progress=kill_one
        )  # fmt: skip
        assert killed
        by_executor = sr.ensemble(
            line(), {"withdrawal@town": values[:64]}, knowns=line_knowns(), executor=client.get_executor(), chunk=32
        )  # fmt: skip
    want = whole(10)
    check_same(found, want)
    np.testing.assert_allclose(
        by_executor.dataset["pressure"].values, want.dataset["pressure"].values[:64], rtol=1e-9
    )  # fmt: skip


def test_pieces_are_worth_the_journey(monkeypatch):
    class Quick:
        def solve(self, values):
            assert len(values) == module.SAMPLE

    monkeypatch.setattr(module, "perf_counter", iter([0.0, 0.001]).__next__)
    assert module._worthwhile(Quick(), np.zeros((5000, 1))) == 50 * module.SAMPLE
    assert module._worthwhile(Quick(), np.zeros((100, 1))) == module.CHUNK
