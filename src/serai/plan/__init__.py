# SPDX-License-Identifier: Apache-2.0
"""Export plans: which corridors to build and sell through, so that no single neighbour can cut the income."""
