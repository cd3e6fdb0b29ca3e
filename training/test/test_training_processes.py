"""Trainings of several processes: who goes first, and that all stop at the same step."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from wbvla_training.processes import Processes

SCRIPT = """
import sys
from pathlib import Path
from wbvla_training.processes import Processes

processes = Processes.start("cpu")
made = Path(sys.argv[1])
with processes.leader_first():
    if processes.leads:
        made.touch()
    assert made.exists()
print(processes.rank, processes.any(processes.rank == 1), processes.any(False))
processes.end()
"""


def test_each_process_of_a_machine_has_its_own_device(monkeypatch):
    chosen = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.cuda.set_device", chosen.append)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    assert Processes.start("cuda") == Processes(1, 2, "cuda") and chosen == [1]


def test_alone_there_is_nobody_to_ask_or_to_wait_for(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = Processes.start("cpu")
    with alone.leader_first():
        assert alone.leads and alone.any(True) and not alone.any(False)


def test_the_first_prepares_for_all_and_who_stops_stops_the_others(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "made")],
            env=os.environ | group | {"RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    said = [process.communicate(timeout=120)[0].split() for process in running]
    assert said == [["0", "True", "False"], ["1", "True", "False"]]
