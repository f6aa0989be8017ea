# SPDX-License-Identifier: Apache-2.0
"""Set-points that the physics accepts, at least cost."""
