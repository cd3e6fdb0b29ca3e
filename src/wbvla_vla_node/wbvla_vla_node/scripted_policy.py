"""A stand-in for a model: plays timed poses for the sentences of a script file. It looks at nothing."""

from __future__ import annotations

import numpy as np
from wbvla_core.types import LocoMode

from wbvla_vla_node.policy import Chunk, Observation
from wbvla_vla_node.script import ScriptBook

CHUNK_LENGTH = 8
CHUNK_STEP_S = 0.1


class ScriptedPolicy:
    """Time runs from the first observation after a new sentence, the pose from where the old one left it. A
    sentence without a script goes to the default pose and is never done."""

    def __init__(self, book: ScriptBook, name: str) -> None:
        self.name = f"scripted {name}"
        self._book = book
        self._script = book.rest
        self._start = self._last = book.rest.steps[0].position
        self._start_ns: int | None = None

    def reset(self, instruction: str) -> None:
        """See Policy."""
        self._script = self._book.find(instruction) or self._book.rest
        self._start_ns = None
        self._start = self._last

    def infer(self, observation: Observation, capture_stamp_ns: int) -> Chunk:
        """See Policy."""
        if self._start_ns is None:
            self._start_ns = capture_stamp_ns
        elapsed_s = (capture_stamp_ns - self._start_ns) / 1e9
        rows = [self._script.sample(elapsed_s + i * CHUNK_STEP_S, self._start) for i in range(CHUNK_LENGTH)]
        self._last = rows[1][0]
        over = elapsed_s >= self._script.end_s and not self._script.loop
        return Chunk(
            joint_names=self._book.joint_names,
            positions=np.stack([position for position, _, _ in rows]),
            step_s=CHUNK_STEP_S,
            loco=np.array([(*flags, height_m) for _, flags, height_m in rows], dtype=np.float64),
            mode=LocoMode.FLAGS,
            done=over if self._script is not self._book.rest else False,
        )
