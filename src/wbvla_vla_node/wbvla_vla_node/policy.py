"""A policy turns one observation into one chunk of actions, synchronously. Backends run policies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from wbvla_core.types import LatentAction, LocoMode


class PolicyError(RuntimeError):
    """A policy could not make a chunk of this observation; says why. The next observation may succeed."""


@dataclass(frozen=True)
class Observation:
    """What the model sees at one instant: the head camera's frame, either as JPEG bytes or as RGB uint8
    [H, W, 3], the sentence, and ``observation.state`` float32 [S] of the contract."""

    instruction: str
    state: np.ndarray
    image_jpeg: bytes | None = None
    image_rgb: np.ndarray | None = None


@dataclass(frozen=True)
class Chunk:
    """A policy's answer. ``positions`` [T, J] of ``joint_names`` (rad; grippers 0..1), row i due
    ``i * step_s`` after the observation; ``loco`` [T, 4] is (s_x, s_y, s_yaw, h) or (v_x, v_y, w_z, h [m]).

    ``done`` says that the policy considers the instruction done (None: it cannot tell), ``progress`` how much of
    it is done, 0..1; ``stages_ms`` are the times its parts took.
    """

    joint_names: tuple[str, ...]
    positions: np.ndarray
    step_s: float
    loco: np.ndarray
    mode: LocoMode = LocoMode.FLAGS
    latent: LatentAction | None = None
    done: bool | None = None
    progress: float | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)


class Policy(Protocol):
    """What a backend runs. ``name`` says what it is, for people."""

    name: str

    def reset(self, instruction: str) -> None:
        """A new sentence: forget what belonged to the old one."""

    def infer(self, observation: Observation, capture_stamp_ns: int) -> Chunk:
        """One chunk; raises PolicyError."""
        ...
