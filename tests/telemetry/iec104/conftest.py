# SPDX-License-Identifier: Apache-2.0
"""The peer's script runs in an interpreter of its own, which alone has c104."""

collect_ignore = ["c104_peer.py"]
