# SPDX-License-Identifier: Apache-2.0
"""Scans of the bundled country: the truth by `steady`, every instrument with noise of its class."""

from functools import cache

import numpy as np

import serai as sr
from serai.estimate import Estimator
from serai.network.instruments import instruments
from serai.simulate.measured import measured
from serai.telemetry.readings import Readings, Register


@cache
def country():
    """The network, its instruments, their register, and an estimator that is kept from scan to scan."""
    net = sr.read("turkmenistan")
    own = instruments(net)
    return net, own, Register(i.tag for i in own), Estimator(net)


@cache
def exact(knowns=()):
    """What every instrument would read without error; what is out of service reads zero."""
    net, own, *_ = country()
    truth = sr.steady(net, knowns)
    return np.nan_to_num(np.array([float(measured(truth, i.quantity, i.where)) for i in own]))


def scan(knowns=(), seed=0, wrong=None):
    """One scan; `wrong` adds so many sigmas to the readings of tags."""
    _, own, register, _ = country()
    z = exact(tuple(knowns))
    sigma = np.array([i.sigma_at(v) for i, v in zip(own, z, strict=True)])
    tags = [i.tag for i in own]
    read = z + sigma * np.random.default_rng(seed).standard_normal(len(z))
    for tag, sigmas in (wrong or {}).items():
        read[tags.index(tag)] += sigmas * sigma[tags.index(tag)]
    return Readings.of(register, [(tag, 0.0, v, 0, 0.0) for tag, v in zip(tags, read, strict=True)])
