"""Serai: one model of a country's gas pipelines and power grid."""

__version__ = "0.1.0"
