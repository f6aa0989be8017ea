# SPDX-License-Identifier: Apache-2.0
"""Readings from the field: protocols, quality, bus, historian. Physics meets it only through Knowns."""
