# SPDX-License-Identifier: Apache-2.0
"""Diagnosis: which one thing is wrong, where and how large, with a rate of false alarms."""
