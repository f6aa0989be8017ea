# SPDX-License-Identifier: Apache-2.0
"""The calls of the API, a file for each subject. Every call says which permission it needs."""
