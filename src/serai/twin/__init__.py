# SPDX-License-Identifier: Apache-2.0
"""The live loop: readings in, estimate, diagnose, alarm, record, publish; and the desk at which others ask it."""
