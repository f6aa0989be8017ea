# SPDX-License-Identifier: Apache-2.0
"""Where gas and power meet: gas-fired plants and electric drives.

References:
[1] A. J. Wood, B. F. Wollenberg, G. B. Sheble, Power Generation, Operation, and Control, 3rd ed., Wiley 2013, ch. 2:
    input-output curves of thermal units; the drive's efficiency is shaft power over electric power.

"""

from __future__ import annotations

from serai.laws.law import law


@law(
    "P f",
    "no_load heat_rate slope LHV",
    valid={
        "P": (0.0, 1e9),
        "f": (0.0, 60.0),
        "no_load": (0.0, 1e8),
        "heat_rate": (1.5, 3.5),
        "slope": (0.0, 1e-9),
        "LHV": (3e7, 5e7),
    },
)
def plant_fuel(P, f, no_load, heat_rate, slope, LHV):
    """Fuel gas f [kg/s] of a gas-fired unit at output P [W]: f LHV = no_load + heat_rate P + slope P^2.

    LHV  net heating value [J/kg]    no_load  [W]    heat_rate  heat over energy [-]    slope  [1/W]
    """
    return f * LHV - no_load - heat_rate * P - slope * P * P, -heat_rate - 2.0 * slope * P, LHV


@law("W P", "eff", valid={"W": (0.0, 5e7), "P": (0.0, 5e7), "eff": (0.85, 0.99)})
def motor(W, P, eff):
    """Electric power P [W] of a compressor drive: eff P = W, W the shaft power [W]."""
    return eff * P - W, -1.0, eff


@law("P", "tan", valid={"P": (0.0, 5e7), "tan": (0.0, 1.0)})
def motor_reactive(P, tan):
    """Reactive power of a motor that draws P [W] at a lagging power factor leaves its bus: -P tan(phi)."""
    return -P * tan, -tan
