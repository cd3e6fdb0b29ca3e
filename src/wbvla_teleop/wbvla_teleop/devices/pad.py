"""What sticks, triggers and buttons of a gamepad mean. One mapper for every way that a pad can be read.
 With the deadman held: by default the left stick walks (forward, back, sideways) and the right stick turns;
the hat moves the stance height up and down. The hat's left and right choose a hand, whose wrist target the
sticks then move:
left stick forward and sideways, right stick up and down and the turn about the vertical. The same hat
direction again goes back to walking. Triggers close the grippers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from wbvla_core.rotations import matrix_from_axis_angle, matrix_from_quaternion, quaternion_from_matrix
from wbvla_core.timing import NS_PER_S

from wbvla_teleop.devices.base import Where
from wbvla_teleop.devices.layout import Layout
from wbvla_teleop.frame import BUTTONS, TORSO, TeleopFrame, WristPose


@dataclass(frozen=True)
class PadConfig:
    """``dead_zone`` of the sticks; ``flag_at`` deflection from which a stick means walk; speeds of a wrist
    target and of the height at full deflection; ``leash_m`` how far a wrist target may run ahead of the
    hand."""

    dead_zone: float = 0.15
    flag_at: float = 0.5
    hand_speed_m_s: float = 0.25
    turn_speed_rad_s: float = 1.0
    height_speed_m_s: float = 0.1
    leash_m: float = 0.08
    rest_speed_m_s: float = 0.25


class PadMapper:
    """Integrates the sticks of one pad into wrist targets and a height."""

    def __init__(self, layout: Layout, where: Where, config: PadConfig | None = None) -> None:
        """``where`` is asked where hands and height are; the hands' rest is where they are at the first
        frame."""
        self._layout, self._where, self.config = layout, where, config or PadConfig()
        self._hands: list[WristPose | None] = [None, None]
        self._rest: tuple[WristPose, WristPose] | None = None
        self._height_m: float | None = None
        self._mode: int | None = None
        self._hat = 0
        self._stamp_ns: int | None = None

    @property
    def mode(self) -> str:
        """What the sticks do at present."""
        return "walk" if self._mode is None else ("left hand", "right hand")[self._mode]

    def map(self, axes: Sequence[float], buttons: Sequence[int], stamp_ns: int) -> TeleopFrame:
        """The frame of one reading; call it at least ten times a second while the pad is there."""
        layout = self._layout
        dt_s = 0.0 if self._stamp_ns is None else min(max(stamp_ns - self._stamp_ns, 0) / NS_PER_S, 0.1)
        self._stamp_ns = stamp_ns
        deadman = layout.down(buttons, "deadman")
        named = frozenset(name for name in BUTTONS if layout.down(buttons, name))
        where = self._where()
        if self._rest is None:
            self._rest = (where.left, where.right)
        if not deadman:
            self._hands, self._height_m = [None, None], None
            self._hat = 0
            return TeleopFrame(stamp_ns, False, buttons=named)
        stick = {name: self._stick(axes, name) for name in ("left_x", "left_y", "right_x", "right_y")}
        self._choose(layout.value(axes, "hat_x"))
        if self._height_m is None:
            self._height_m = where.height_m
        self._height_m += _sign(layout.value(axes, "hat_y"), 0.5) * self.config.height_speed_m_s * dt_s
        flags = (0, 0, 0)
        if self._mode is None:
            at = self.config.flag_at
            flags = (_sign(stick["left_y"], at), _sign(stick["left_x"], at), _sign(stick["right_x"], at))
        else:
            self._move(self._mode, stick, layout.down(buttons, "rest_hands"), (where.left, where.right), dt_s)
        openings = tuple(1.0 - layout.value(axes, f"{side}_trigger") for side in ("left", "right"))
        return TeleopFrame(
            stamp_ns,
            True,
            left=self._hands[0],
            right=self._hands[1],
            grippers=(openings[0], openings[1]),
            flags=flags,
            height_m=self._height_m,
            buttons=named,
        )

    def _stick(self, axes: Sequence[float], name: str) -> float:
        value, zone = self._layout.value(axes, name), self.config.dead_zone
        if abs(value) <= zone:
            return 0.0
        return float(np.sign(value) * min(1.0, (abs(value) - zone) / (1.0 - zone)))

    def _choose(self, hat: float) -> None:
        """Left and right of the hat toggle the mode of that hand when they are pressed."""
        pressed = _sign(hat, 0.5)
        if pressed and pressed != self._hat:
            hand = 0 if pressed > 0 else 1
            self._mode = None if self._mode == hand else hand
        self._hat = pressed

    def _move(
        self, hand: int, stick: dict[str, float], to_rest: bool, now: tuple[WristPose, WristPose], dt_s: float
    ) -> None:
        present, rest = now[hand], self._rest[hand] if self._rest else now[hand]
        target = self._hands[hand] or WristPose(present.position_m, None, TORSO)
        speed = self.config.hand_speed_m_s
        if to_rest:
            way = rest.position_m - target.position_m
            reach = self.config.rest_speed_m_s * dt_s
            position = target.position_m + way * min(1.0, reach / max(1e-9, float(np.linalg.norm(way))))
            self._hands[hand] = WristPose(position, None, TORSO)
            return
        rate = np.array([stick["left_y"], stick["left_x"], stick["right_y"]]) * speed
        position = target.position_m + rate * dt_s
        ahead = position - present.position_m
        distance = float(np.linalg.norm(ahead))
        if distance > self.config.leash_m:
            position = present.position_m + ahead * (self.config.leash_m / distance)
        self._hands[hand] = WristPose(position, self._turned(target, present, stick["right_x"], dt_s), TORSO)

    def _turned(self, target: WristPose, present: WristPose, stick: float, dt_s: float) -> np.ndarray | None:
        """Attitude of the target. It is left to the inverse kinematics (hand in line with the forearm) until the
        stick turns it for the first time, from what it is then."""
        if stick == 0.0:
            return target.quaternion_wxyz
        attitude = present.quaternion_wxyz if target.quaternion_wxyz is None else target.quaternion_wxyz
        assert attitude is not None
        turn = matrix_from_axis_angle((0.0, 0.0, 1.0), stick * self.config.turn_speed_rad_s * dt_s)
        return quaternion_from_matrix(turn @ matrix_from_quaternion(attitude))


def _sign(value: float, threshold: float) -> int:
    return int(np.sign(value)) if abs(value) >= threshold else 0
