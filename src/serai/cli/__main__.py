# SPDX-License-Identifier: Apache-2.0
"""`python -m serai.cli`: the command line without an installed script."""

from serai.cli import main

main()
