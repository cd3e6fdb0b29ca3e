"""Left for right: every demonstration also as its mirror image, sentence included."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from wbvla_core.robot_spec import RobotSpec

_SWAP = {"left": "right", "right": "left"}
_REVERSED = ("gravity_y", "s_y", "s_yaw", "v_y", "w_z", "ball_y", "table_y", "table_yaw", "ball_u")


@dataclass(frozen=True)
class Mirror:
    """Order and sign of the values of ``names``: mirrored = sign * values[..., order]."""

    order: np.ndarray
    sign: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values [..., D] of the mirror image."""
        return (self.sign * values[..., self.order]).astype(values.dtype)


def mirror_of(names: tuple[str, ...], spec: RobotSpec) -> Mirror:
    """The mirror of states, actions or scenes, by their names."""
    _, joint_sign = spec.mirror
    signs = dict(zip(spec.joint_names, joint_sign, strict=True))
    order, sign = [], []
    for name in names:
        side, _, rest = name.partition("_")
        order.append(names.index(f"{_SWAP[side]}_{rest}" if side in _SWAP else name))
        sign.append(-1.0 if name in _REVERSED else float(signs.get(name, 1.0)))
    return Mirror(np.array(order), np.array(sign, np.float32))


def mirror_sentence(sentence: str) -> str:
    """The sentence with left and right exchanged."""
    return re.sub(
        r"\b(left|right)\b", lambda match: _SWAP[match.group().lower()], sentence, flags=re.IGNORECASE
    )


def mirror_pictures(pictures: np.ndarray, shift_px: int) -> np.ndarray:
    """Pictures [B, h, w, 3] reversed and moved left by ``shift_px``: what a camera a little right of the middle sees of
    the mirrored world."""
    reversed_ = pictures[:, :, ::-1]
    if shift_px <= 0:
        return np.ascontiguousarray(reversed_)
    return np.concatenate(
        (reversed_[:, :, shift_px:], np.repeat(reversed_[:, :, -1:], shift_px, axis=2)), axis=2
    )
