"""This process among those that torchrun started; alone without it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

WAIT = timedelta(hours=12)
"""The others may wait for hours while the first one decodes or labels video."""


@dataclass(frozen=True)
class Processes:
    """``rank`` of this process among ``count``, each of which learns on its own ``device``."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @staticmethod
    def start(device: str) -> Processes:
        """Join the group when torchrun started this process."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return Processes(device=device)
        if device == "cuda":
            # Which device "cuda" is follows from the process.
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=WAIT)
        return Processes(dist.get_rank(), dist.get_world_size(), device)

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes, and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()

    @contextlib.contextmanager
    def leader_first(self) -> Iterator[None]:
        """What is within, the first process does alone; the others then find it done."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is true in any process. Ctrl-C reaches them at different steps: who stopped alone would leave
        the others waiting for its gradients."""
        if self.count == 1:
            return flag
        shared = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return bool(shared)

    def end(self) -> None:
        """Leave the group."""
        if self.count > 1:
            dist.destroy_process_group()
