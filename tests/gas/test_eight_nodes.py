# SPDX-License-Identifier: Apache-2.0
"""The looped network of eight nodes of GasTranSim against a small Newton written here from the equations alone.

Truth: mass balance at the nodes, b1 (p1^2 - p2^2)/2 + b2 (p1^3 - p2^3)/3 = f L R T m|m| / (2 D A^2) along the pipes,
p2 = r p1 at the compressors, with GasTranSim's own constants. Nothing of Serai's laws is used on that side.
"""

import numpy as np
import pytest

import serai as sr
from gas import gastransim
from serai import Known

PARAMETERS = "params_full.json"
STATES = ["ideal", "cnga-gastransim"]


@pytest.fixture(scope="module")
def folder(data):
    return data / "gas" / "8-node"


def state_equation(kind, gravity, temperature):
    """GasTranSim's b1, b2 [1, 1/Pa]."""
    if kind == "ideal":
        return 1.0, 0.0
    a1, a2, a3 = 344_400.0, 1.785, 3.825
    q = a1 * 10.0 ** (a2 * gravity) / (1.8 * temperature) ** a3
    return 1.0 + q * 101_350.0 / 6894.75729, q / 6894.75729


def dense_newton(folder, kind, ratios, withdrawals, slack):
    """Return pressures by node number [Pa] and flows by (kind, number) [kg/s]; the Jacobian is by complex step."""
    net = gastransim.read_json(folder / "network.json")
    given = gastransim.read_json(folder / PARAMETERS)["simulation_params"]
    T = given["Temperature (K):"]
    RT = gastransim.specific_constant(given) * T
    b1, b2 = state_equation(kind, given["Gas specific gravity (G):"], T)
    nodes = sorted(net["nodes"], key=int)
    at = {n: k for k, n in enumerate(nodes)}
    edges = [("p", k) for k in sorted(net["pipes"])] + [("c", k) for k in sorted(net["compressors"])]
    n = len(nodes)

    def residual(z):
        p, m = z[:n] * 1e6, z[n:] * 100.0
        f = np.zeros_like(z)
        for k, value in withdrawals.items():
            f[at[k]] -= value
        for j, (what, number) in enumerate(edges):
            e = net["pipes" if what == "p" else "compressors"][number]
            a, b = at[str(e["from_node"])], at[str(e["to_node"])]
            f[a] -= m[j]
            f[b] += m[j]
            if what == "c":
                f[n + j] = (p[b] - ratios[number] * p[a]) / 1e6
                continue
            A = np.pi * e["diameter"] ** 2 / 4.0
            K = e["friction_factor"] * e["length"] * RT / (2.0 * e["diameter"] * A**2)
            size = m[j] if m[j].real > 0 else -m[j]
            driven = b1 * (p[a] ** 2 - p[b] ** 2) / 2.0 + b2 * (p[a] ** 3 - p[b] ** 3) / 3.0
            f[n + j] = (driven - K * m[j] * size) / 1e12
        f[at["1"]] = (p[at["1"]] - slack) / 1e6  # in place of its balance: the slack takes what is left
        return f

    z = np.concatenate([np.full(n, 4.0), np.full(len(edges), 1.0)]).astype(complex)
    for _ in range(60):
        f = residual(z).real
        J = np.empty((len(z), len(z)))
        for k in range(len(z)):
            nudged = z.copy()
            nudged[k] += 1e-40j
            J[:, k] = residual(nudged).imag / 1e-40
        step = np.linalg.solve(J, -f)
        z = z + step * min(1.0, 0.5 / np.max(np.abs(step)))
        if np.max(np.abs(step)) < 1e-14:
            break
    assert np.max(np.abs(residual(z))) < 1e-10
    p, m = z.real[:n] * 1e6, z.real[n:] * 100.0
    return dict(zip(nodes, p, strict=True)), dict(zip(edges, m, strict=True))


def solve_both(folder, kind, changes=(), boundary="bc_steady.json"):
    series = {(s.quantity, s.where): s.at(0.0).value for s in gastransim.knowns(folder, boundary)}
    series.update({(k.quantity, k.where): k.value for k in changes})
    net = gastransim.network(folder, PARAMETERS, kind)
    result = sr.steady(net, [Known(*key, value) for key, value in series.items()])
    ratios = {where[1:]: v for (quantity, where), v in series.items() if quantity == "ratio"}
    taken = {where[1:]: v for (quantity, where), v in series.items() if quantity == "withdrawal"}
    return result, dense_newton(folder, kind, ratios, taken, series["pressure", "slack n1"])


def assert_agree(result, truth, tolerance):
    pressures, flows = truth
    for node, p in pressures.items():
        assert float(result.pressure[f"n{node}"]) == pytest.approx(p, rel=tolerance), node
    largest = max(map(abs, flows.values()))
    for (what, number), m in flows.items():
        assert float(result.flow[f"{what}{number}"]) == pytest.approx(m, rel=tolerance, abs=tolerance * largest)


@pytest.mark.parametrize("kind", STATES)
def test_steady_state_equals_an_independent_dense_newton(folder, kind):
    result, truth = solve_both(folder, kind)
    assert_agree(result, truth, 1e-9)
    assert result.mismatch < 1e-12
    lost = [abs(float(result.pressure[f"n{n}"]) / p - 1.0) for n, p in truth[0].items()]
    print(f"{kind}: largest relative difference of a pressure {max(lost):.1e}, {result.iterations} iterations")


@pytest.mark.parametrize("kind", STATES)
def test_reverse_flow_equals_the_dense_newton(folder, kind):
    """Node 4 feeds 250 kg/s: flow turns in pipes 3 and 4."""
    changes = [Known("withdrawal", "n4", -250.0), Known("ratio", "c2", 1.0), Known("ratio", "c3", 1.0)]
    result, truth = solve_both(folder, kind, changes)
    turned = [e for e, m in truth[1].items() if m < 0 and e[0] == "p"]
    assert turned
    assert_agree(result, truth, 1e-9)


def test_station_without_flow(folder):
    """Everything that station 3 feeds is taken off: no flow, the ratio still holds."""
    result, truth = solve_both(folder, "cnga-gastransim", [Known("withdrawal", "n5", 0.0)])
    assert abs(float(result.flow["c3"])) < 1e-9
    assert float(result.power["c3"]) == pytest.approx(0.0, abs=1e-3)
    assert_agree(result, truth, 1e-9)


def test_no_flow_anywhere(folder):
    nothing = [Known("withdrawal", f"n{n}", 0.0) for n in (3, 5)]
    result, truth = solve_both(folder, "ideal", [*nothing, Known("ratio", "c2", 1.0)])
    pressures, _ = truth
    # around the loop 2-7-3-4-2 nothing flows only if the station in it does not compress
    assert float(abs(result.flow).max()) < 1e-3
    for node, p in pressures.items():
        assert float(result.pressure[f"n{node}"]) == pytest.approx(p, rel=1e-7)


def test_a_day_keeps_its_mass(folder):
    net = gastransim.network(folder, PARAMETERS, "cnga-gastransim")
    day = sr.transient(net, hours=24, step=900, knowns=gastransim.knowns(folder), cell=5e3)
    change = float(day.linepack_total[-1] - day.linepack_total[0])
    supplied, delivered = (float(day.dataset[f"{k}_total"][-1]) for k in ("supplied", "delivered"))
    assert abs(supplied - delivered - change) < 1e-10 * supplied
    assert day.dataset.attrs["ledger_error"] < 1e-10
    assert day.mismatch < 1e-9
    print(f"ledger error {day.dataset.attrs['ledger_error']:.1e} of {supplied:.3e} kg; mismatch {day.mismatch:.1e}")
