"""CPU and memory of the processes of a launched graph."""

from __future__ import annotations

import threading
import time

import psutil
from wbvla_ros.launched_graph import label


class ProcessSampler:
    """Samples a process tree every ``period_s`` in a thread of its own, from :meth:`start` to :meth:`stop`."""

    def __init__(self, root_pid: int, period_s: float = 0.5):
        self._root = psutil.Process(root_pid)
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._last: dict[int, tuple[str, float]] = {}
        self._labels: dict[int, str] = {}
        self.cpu_s: dict[str, float] = {}
        self.memory_bytes: dict[str, int] = {}
        self.memory_history: list[tuple[float, dict[str, int]]] = []
        """Time since the start [s], proportional memory [B] per label."""
        self._begin_s = self._end_s = 0.0

    def start(self) -> None:
        self._begin_s = time.monotonic()
        self._sample()
        # What was burnt before the start (imports, compilation) is not the running graph's.
        self.cpu_s.clear()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()
        self._end_s = time.monotonic()

    def cores(self) -> dict[str, float]:
        """Mean number of cores in use, per label."""
        elapsed_s = max(self._end_s - self._begin_s, 1e-9)
        return {name: cpu_s / elapsed_s for name, cpu_s in sorted(self.cpu_s.items())}

    def memory_mb(self) -> dict[str, float]:
        """Peak of proportional memory (shared pages divided among their users) [MB], per label."""
        return {name: size / 1e6 for name, size in sorted(self.memory_bytes.items())}

    def _loop(self) -> None:
        while not self._stop.wait(self._period_s):
            self._sample()

    def _sample(self) -> None:
        memory: dict[str, int] = {}
        try:
            tree = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in tree:
            try:
                name = self._labels.get(process.pid) or label(process)
                times = process.cpu_times()
                resident = process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                continue
            if name != "launch":
                self._labels[process.pid] = name
            total_s = times.user + times.system
            before_s = self._last.get(process.pid, (name, 0.0))[1]
            self._last[process.pid] = (name, total_s)
            self.cpu_s[name] = self.cpu_s.get(name, 0.0) + total_s - before_s
            memory[name] = memory.get(name, 0) + resident
        for name, size in memory.items():
            self.memory_bytes[name] = max(self.memory_bytes.get(name, 0), size)
        self.memory_history.append((time.monotonic() - self._begin_s, memory))
