"""Asynchronous access to a policy: observations go in, chunks come out later, and nobody waits.

A local bundle, a large model in another process and a remote server differ only behind this interface. All
methods are called from one thread, the node's control thread, and none of them blocks on inference.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol

from wbvla_vla_node.policy import Chunk, Observation, Policy, PolicyError


@dataclass(frozen=True)
class Result:
    """Answer to the observation ``id``: a chunk, or ``error`` saying why there is none. ``elapsed_ms`` is the
    time from submission to the answer."""

    id: int
    capture_stamp_ns: int
    chunk: Chunk | None
    error: str = ""
    elapsed_ms: float = 0.0


class Backend(Protocol):
    """``name`` for people; ``capacity`` observations may be under way at once."""

    name: str
    capacity: int

    def submit(self, observation: Observation, id: int, capture_stamp_ns: int) -> bool:
        """Hand an observation over; False (and forgotten) when ``capacity`` are under way already."""
        ...

    def poll(self) -> list[Result]:
        """Answers that became ready since the last call, oldest first."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Sleep until an answer is ready or the time is over; True when one is ready."""
        ...

    def reset(self, instruction: str) -> None:
        """A new sentence; answers to observations submitted before are not delivered any more."""

    def close(self) -> None:
        """Give everything back. Must not raise."""


class InlineBackend:
    """Runs the policy inside ``submit``: for lock-step and tests, where nothing may depend on threads."""

    capacity = 1

    def __init__(self, policy: Policy) -> None:
        self.name = policy.name
        self._policy = policy
        self._ready: list[Result] = []

    def submit(self, observation: Observation, id: int, capture_stamp_ns: int) -> bool:
        self._ready.append(_run(self._policy, observation, id, capture_stamp_ns, time.perf_counter()))
        return True

    def poll(self) -> list[Result]:
        ready, self._ready = self._ready, []
        return ready

    def wait(self, timeout_s: float) -> bool:
        return bool(self._ready)

    def reset(self, instruction: str) -> None:
        self._ready.clear()
        self._policy.reset(instruction)

    def close(self) -> None:
        self._ready.clear()


class ThreadBackend:
    """Runs the policy in a thread of its own. ONNX Runtime and JPEG decoding release the interpreter's
    lock, so the control thread keeps its deadlines meanwhile."""

    capacity = 1

    def __init__(self, policy: Policy) -> None:
        self.name = policy.name
        self._policy = policy
        self._condition = threading.Condition()
        self._job: tuple[Observation, int, int, float] | None = None
        self._sentence: str | None = None
        self._busy = self._stopping = False
        self._generation = 0
        self._ready: list[Result] = []
        self._thread = threading.Thread(target=self._work, name="vla-inference", daemon=True)
        self._thread.start()

    def submit(self, observation: Observation, id: int, capture_stamp_ns: int) -> bool:
        with self._condition:
            if self._busy or self._job is not None:
                return False
            self._job = (observation, id, capture_stamp_ns, time.perf_counter())
            self._condition.notify_all()
        return True

    def poll(self) -> list[Result]:
        with self._condition:
            ready, self._ready = self._ready, []
        return ready

    def wait(self, timeout_s: float) -> bool:
        with self._condition:
            self._condition.wait_for(lambda: self._ready, max(0.0, timeout_s))
            return bool(self._ready)

    def reset(self, instruction: str) -> None:
        with self._condition:
            self._sentence = instruction
            self._job = None
            self._ready.clear()
            self._generation += 1

    def close(self) -> None:
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        # An inference that hangs must not keep the node from leaving; the thread is a daemon.
        self._thread.join(timeout=1.0)

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._job is not None or self._stopping)
                if self._stopping:
                    return
                job, self._job, self._busy = self._job, None, True
                sentence, self._sentence, generation = self._sentence, None, self._generation
            result = _run(self._policy, *job, sentence)
            with self._condition:
                self._busy = False
                if generation == self._generation:
                    self._ready.append(result)
                    self._condition.notify_all()


def _run(
    policy: Policy,
    observation: Observation,
    id: int,
    capture_stamp_ns: int,
    started: float,
    sentence: str | None = None,
) -> Result:
    """The answer to one observation; the policy is told first of a new ``sentence``. Never raises: foreign code of any kind
    runs here, and its failure must reach the safety layer."""
    chunk, error = None, ""
    try:
        if sentence is not None:
            policy.reset(sentence)
        chunk = policy.infer(observation, capture_stamp_ns)
    except PolicyError as failure:
        error = str(failure)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    return Result(id, capture_stamp_ns, chunk, error, (time.perf_counter() - started) * 1e3)
