# SPDX-License-Identifier: Apache-2.0
"""Serai: one model of a country's gas pipelines and power grid."""

__version__ = "0.1.0"
