"""How many of torch's threads the environment's small tensors are worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

ROBOTS_PER_THREAD = 4096
"""Below, waking a second thread for each of some hundred small operations costs more than it saves, and between them it
spins on a core that the engine needs: a control step of 512 robots took 42 ms with two threads and 30 ms with one, of
4096 robots as long with either (two cores)."""


@contextmanager
def few_threads(robots: int) -> Iterator[None]:
    """At most one torch thread for each 4096 of ``robots`` in this block; results do not depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, robots // ROBOTS_PER_THREAD)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
