# SPDX-License-Identifier: Apache-2.0
"""Modes and limits: an active-set loop around Newton that swaps Knowns, with a cap and a named error.

A station holds its set-point until a limit takes over (largest ratio, installed power), until it is not needed
(bypass) or until the flow would turn (closed); a control valve opens fully when its inlet is too low; a check valve
closes against the flow; generators that run out of reactive power let their voltage go. Each mode is one Known, and
each test is the complementarity condition of that mode, so a mode is left again when its reason is gone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import ModeCycle
from serai.known import Known
from serai.system import Fixed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from serai.system import System

    Floats = NDArray[np.float64]

ROUNDS = 60  # of Newton solves in one active-set loop
PATIENCE = 4  # switches of one device before half of them have to wait
LIMIT = 10  # switches of one device before the loop is called a cycle
SLACK = 1e-7  # of the scale of pressure, flow, ratio and voltage: the dead band of every test


@dataclass
class Device:
    """One element with modes: a mode is the column that is known and its value; a test names the next mode or stays."""

    name: str
    modes: dict[str, tuple[int, float]]
    test: Callable[[Floats, str], str]
    mode: str
    home: str
    known: Known
    switches: int = 0


@dataclass
class Modes:
    """All devices of a system, and the Knowns as their present modes have them."""

    system: System
    q_limits: bool = True
    devices: list[Device] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find the devices among the Knowns of the system."""
        self.fixed = self.system.fix()
        self._stations()
        self._control_valves()
        self._check_valves()
        if self.q_limits:
            self._voltages()

    def renew(self) -> dict[int, Fixed]:
        """Return the system's Knowns (their values may have changed) as the present modes have them."""
        fixed = self.system.fix()
        for device in self.devices:
            home, _ = device.modes[device.home]
            if home in fixed:
                device.modes[device.home] = (home, fixed[home].value)
            if device.mode != device.home:
                self._swap(fixed, device, device.home, device.mode)
        self.fixed = fixed
        return fixed

    def step(self, x: Floats) -> list[tuple[str, str, str]]:
        """Switch every device whose mode does not fit the state x; return (element, old mode, new mode).

        Devices that have switched often switch one at a time, the first in the list; ModeCycle names the restless.
        """
        wishes = [(d, d.test(x, d.mode)) for d in self.devices]
        changes = [(d, new) for d, new in wishes if new != d.mode]
        patient = [c for c in changes if c[0].switches < PATIENCE]
        chosen = patient or changes[: (len(changes) + 1) // 2]
        out = []
        for device, new in chosen:
            device.switches += 1
            if device.switches > LIMIT:
                cycling = [d.name for d in self.devices if d.switches >= PATIENCE]
                modes = ", ".join(f"{d.name} ({d.mode})" for d in self.devices if d.switches >= PATIENCE)
                msg = f"modes keep switching: {modes}. Relax their set-points or limits, or fix one of them with `open`"
                raise ModeCycle(msg, cycling)
            self._swap(self.fixed, device, device.mode, new)
            out.append((device.name, device.mode, new))
            device.mode = new
        return out

    def rest(self) -> None:
        """Forget how often devices have switched: a new time step begins."""
        for device in self.devices:
            device.switches = 0

    def report(self) -> dict[str, str]:
        """Return the mode of every device that is not at its set-point."""
        return {d.name: d.mode for d in self.devices if d.mode != d.home}

    @staticmethod
    def _swap(fixed: dict[int, Fixed], device: Device, old: str, new: str) -> None:
        fixed.pop(device.modes[old][0], None)
        column, value = device.modes[new]
        fixed[column] = Fixed(column, value, Known(device.known.quantity, device.name, value, source=f"mode {new}"))

    # ---------------------------------------------------------------- gas

    def _controls(self, kind: str, quantities: tuple[str, ...]) -> list[tuple[str, Known, tuple[int, float]]]:
        """Return (element, Known, column and value) of the elements of a kind that a set-point controls."""
        table, out = self.system.network.active(kind), []
        for known in self.system.knowns:
            if known.quantity in quantities and known.where in table:
                placed = self.system.place(known)
                if placed is not None:
                    out.append((known.where, known, placed))
        return out

    def _ends(self, name: str) -> tuple[int, int, int]:
        """Return the columns of pressure at both ends and of the flow of a gas edge."""
        c = self.system.equations.columns
        k = c["flow"].index[name] - c["flow"].first
        edge = self.system.gas.edges[k]
        return c["pressure"].first + edge.start, c["pressure"].first + edge.end, c["flow"].first + k

    def _stations(self) -> None:
        system = self.system
        t = system.network.active("compressors")
        c = system.equations.columns
        for name, known, home in self._controls(
            "compressors", ("ratio", "outlet_pressure", "inlet_pressure", "flow", "power")
        ):
            row = t.row(name)
            ratio, power = c["ratio"].index[name], c["power"].index[name]
            p1, p2, m = self._ends(name)
            modes = {known.quantity: home, "bypass": (ratio, 1.0), "closed": (m, 0.0)}
            if t["ratio_max"][row] > 1.0 and known.quantity != "ratio":
                modes["largest ratio"] = (ratio, float(t["ratio_max"][row]))
            if t["power_max"][row] > 0.0 and known.quantity != "power":
                modes["largest power"] = (power, float(t["power_max"][row]))
            station = _Station(system, known.quantity, modes, (p1, p2, m, ratio, power))
            self.devices.append(Device(name, modes, station.test, known.quantity, known.quantity, known))

    def _control_valves(self) -> None:
        system, t = self.system, self.system.network.active("control_valves")
        drop = system.equations.columns
        for name, known, home in self._controls("control_valves", ("outlet_pressure", "inlet_pressure")):
            p1, p2, m = self._ends(name)
            modes = {known.quantity: home, "open": (drop["drop"].index[name], 0.0), "closed": (m, 0.0)}
            reverse = bool(t["flow_min"][t.row(name)] < 0.0)
            valve = _ControlValve(system, known.quantity, modes, (p1, p2, m), reverse=reverse)
            self.devices.append(Device(name, modes, valve.test, known.quantity, known.quantity, known))

    def _check_valves(self) -> None:
        system, c = self.system, self.system.equations.columns
        for name in system.network.active("check_valves").names:
            if name not in c["flow"].index or c["drop"].index[name] not in self.fixed:
                continue
            p1, p2, m = self._ends(name)
            modes = {"open": (c["drop"].index[name], 0.0), "closed": (m, 0.0)}
            valve = _CheckValve(system, (p1, p2, m))
            known = Known("open", name, 1.0, source="check valve")
            self.devices.append(Device(name, modes, valve.test, "open", "open", known))

    # -------------------------------------------------------------- power

    def _voltages(self) -> None:
        system = self.system
        power, c = system.power, system.equations.columns
        if not power.names:
            return
        v, s, a = c["magnitude"], c["position"], c["angle"]
        for k, node in enumerate(power.controlled):
            low, high = power.position_limits[k]
            held = v.first + node
            if not (np.isfinite(low) or np.isfinite(high)) or held not in self.fixed or a.first + node in self.fixed:
                continue  # without limits, or a reference: it has no one to hand its voltage to
            modes = {
                "voltage held": (held, self.fixed[held].value),
                "reactive limit, upper": (s.first + k, float(high)),
                "reactive limit, lower": (s.first + k, float(low)),
            }
            voltage = _Voltage(modes, held, s.first + k, (float(low), float(high)))
            known = self.fixed[held].known
            self.devices.append(Device(power.names[node], modes, voltage.test, "voltage held", "voltage held", known))

    def cycled(self) -> ModeCycle:
        """Return the error for a loop that did not come to rest within ROUNDS."""
        counts = Counter({d.name: d.switches for d in self.devices if d.switches > 1})
        names = [name for name, _ in counts.most_common(6)]
        return ModeCycle(f"modes did not come to rest in {ROUNDS} rounds; most restless: {', '.join(names)}", names)


@dataclass
class _Station:
    """When a compressor station leaves a mode."""

    system: System
    quantity: str
    modes: dict[str, tuple[int, float]]
    columns: tuple[int, int, int, int, int]

    def test(self, x: Floats, mode: str) -> str:
        """Return the mode that fits the state."""
        p1, p2, m, ratio, _ = self.columns
        tol_p, tol_m = SLACK * self.system.pressure_scale, SLACK * self.system.flow_scale
        home = self.quantity
        if mode == "closed":
            reach = {"outlet_pressure": 1.0, "ratio": x[p1]}.get(home, 0.0) * self.modes[home][1]
            low = x[p2] < reach - tol_p  # what the station would hold there is above what is there
            return "bypass" if x[p1] > x[p2] + tol_p else home if low else "closed"
        if x[m] < -tol_m:
            return "closed"
        if mode == "bypass":
            return home if self._wanted(x, tol_p, tol_m) else "bypass"
        if home != "ratio" and x[ratio] < 1.0 - SLACK:
            return "bypass"
        return self._limited(x, mode, tol_p, tol_m)

    def _limited(self, x: Floats, mode: str, tol_p: float, tol_m: float) -> str:
        """Return the set-point or the limit that holds a running station."""
        _, _, _, ratio, power = self.columns
        if mode != self.quantity and self._exceeded(x, tol_p, tol_m):
            return self.quantity
        for limit, column in (("largest power", power), ("largest ratio", ratio)):
            if limit in self.modes and mode != limit and x[column] > self.modes[limit][1] * (1.0 + SLACK):
                return limit
        return mode

    def _wanted(self, x: Floats, tol_p: float, tol_m: float) -> bool:
        """Whether a bypassed station would have to run to reach its set-point."""
        target = self.modes[self.quantity][1]
        p1, p2, m, _, _ = self.columns
        short = {
            "outlet_pressure": x[p2] < target - tol_p,
            "inlet_pressure": x[p1] > target + tol_p,
            "flow": x[m] < target - tol_m,
            "ratio": target > 1.0,
            "power": target > 0.0,
        }
        return bool(short[self.quantity])

    def _exceeded(self, x: Floats, tol_p: float, tol_m: float) -> bool:
        """Whether a station at a limit does more than its set-point asks."""
        target = self.modes[self.quantity][1]
        p1, p2, m, ratio, power = self.columns
        beyond = {
            "outlet_pressure": x[p2] > target + tol_p,
            "inlet_pressure": x[p1] < target - tol_p,
            "flow": x[m] > target + tol_m,
            "ratio": x[ratio] > target + SLACK,
            "power": x[power] > target * (1.0 + SLACK),
        }
        return bool(beyond[self.quantity])


@dataclass
class _CheckValve:
    """When a check valve opens and closes."""

    system: System
    columns: tuple[int, int, int]

    def test(self, x: Floats, mode: str) -> str:
        """Return the mode that fits the state."""
        p1, p2, m = self.columns
        if mode == "open":
            return "closed" if x[m] < -SLACK * self.system.flow_scale else "open"
        return "open" if x[p1] > x[p2] + SLACK * self.system.pressure_scale else "closed"


@dataclass
class _ControlValve:
    """When a control valve leaves a mode."""

    system: System
    quantity: str
    modes: dict[str, tuple[int, float]]
    columns: tuple[int, int, int]
    reverse: bool

    def test(self, x: Floats, mode: str) -> str:
        """Return the mode that fits the state."""
        p1, p2, m = self.columns
        tol_p, tol_m = SLACK * self.system.pressure_scale, SLACK * self.system.flow_scale
        target, out = self.modes[self.quantity][1], self.quantity == "outlet_pressure"
        if mode == "closed":
            asked = x[p2] < target - tol_p if out else x[p1] > target + tol_p
            return self.quantity if x[p1] > x[p2] + tol_p and asked else "closed"
        if x[m] < -tol_m and not (self.reverse and mode == "open"):
            return "closed"
        if mode == "open":
            beyond = x[p2] > target + tol_p if out else x[p1] < target - tol_p
            return self.quantity if beyond else "open"
        return "open" if x[p1] - x[p2] < -tol_p else mode


@dataclass
class _Voltage:
    """When the generators of a node give up or take back its voltage: complementarity with their reactive power."""

    modes: dict[str, tuple[int, float]]
    magnitude: int
    position: int
    limits: tuple[float, float]

    def test(self, x: Floats, mode: str) -> str:
        """Return the mode that fits the state."""
        low, high = self.limits
        target = self.modes["voltage held"][1]
        if mode == "voltage held":
            if x[self.position] > high + SLACK:
                return "reactive limit, upper"
            return "reactive limit, lower" if x[self.position] < low - SLACK else mode
        if mode == "reactive limit, upper":
            return "voltage held" if x[self.magnitude] > target + SLACK else mode
        return "voltage held" if x[self.magnitude] < target - SLACK else mode
