# SPDX-License-Identifier: Apache-2.0
"""How tasks are ended so that they do end."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN = 3.0  # s that a task may take to end before it is cancelled once more


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and return when all have ended, whatever they ended with.

    Before Python 3.12 `asyncio.wait_for` loses a cancellation that comes in the same turn as what it waits for
    (github.com/python/cpython/issues/86296), and the libraries of protocols are full of it: a task that goes on is
    cancelled again.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN)
    await asyncio.gather(*tasks, return_exceptions=True)  # takes up what they ended with
