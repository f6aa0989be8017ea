# SPDX-License-Identifier: Apache-2.0
"""IEC 60870-5-104: frames, link, controlled and controlling station."""
