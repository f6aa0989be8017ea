# SPDX-License-Identifier: Apache-2.0
"""Serai: one model of a country's gas pipelines and power grid, solved exactly.

    import serai as sr

    net = sr.read("turkmenistan")
    now = sr.steady(net)
    now.pressure["Gedaim"]

Names are loaded when they are first used: `serai --help` waits for no solver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serai.diagnose.whole import diagnose
    from serai.dispatch import dispatch  # type: ignore[no-redef] # package and call in one
    from serai.dispatch.nominate import nominate
    from serai.errors import SeraiError
    from serai.estimate import estimate
    from serai.known import Event, Known, Series, at
    from serai.network import Gas, Network, read, table, write
    from serai.network.check import check
    from serai.network.from_pandapipes import from_pandapipes
    from serai.network.from_pandapower import from_pandapower
    from serai.plan.neutrality import Neutrality
    from serai.plan.plan import plan
    from serai.simulate.ensemble import Ensemble, ensemble
    from serai.simulate.labelled import Result
    from serai.simulate.outages import outages
    from serai.simulate.steady import steady
    from serai.simulate.transient import transient

__version__ = "0.1.0"

__all__ = [
    "Ensemble",
    "Event",
    "Gas",
    "Known",
    "Network",
    "Neutrality",
    "Result",
    "SeraiError",
    "Series",
    "at",
    "check",
    "diagnose",
    "dispatch",
    "ensemble",
    "estimate",
    "from_pandapipes",
    "from_pandapower",
    "nominate",
    "outages",
    "plan",
    "read",
    "steady",
    "table",
    "transient",
    "write",
]

_HOME = {
    "serai.dispatch": ("dispatch",),
    "serai.dispatch.nominate": ("nominate",),
    "serai.errors": ("SeraiError",),
    "serai.diagnose": ("diagnose",),
    "serai.estimate": ("estimate",),
    "serai.known": ("Event", "Known", "Series", "at"),
    "serai.network": ("Gas", "Network", "read", "table", "write"),
    "serai.network.check": ("check",),
    "serai.network.from_pandapipes": ("from_pandapipes",),
    "serai.network.from_pandapower": ("from_pandapower",),
    "serai.plan.neutrality": ("Neutrality",),
    "serai.plan.plan": ("plan",),
    "serai.simulate.ensemble": ("Ensemble", "ensemble"),
    "serai.simulate": ("Result", "outages", "steady", "transient"),
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    for module, names in _HOME.items():
        if name in names:
            value = getattr(import_module(module), name)
            globals()[name] = value
            return value
    msg = f"module 'serai' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """List the public names."""
    return [*__all__, "__version__"]
