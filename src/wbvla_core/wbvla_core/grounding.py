"""Balancing only while the feet carry: a controller that stands would thrash with its feet in the air.

Feedback that balances assumes the floor under the feet. Hung in a hoist it drives the legs away from the
stance, and the robot would land on its toes. So as long as the feet carry next to nothing the legs are held
in the stance posture and the controller starts anew at each step; once they carry, its feedback fades in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from . import posture
from .kinematics import Kinematics
from .lmo import LmoController
from .robot_spec import RobotSpec
from .types import LegWaistCommand, LocoCommand, RobotState

_GRAVITY_M_S2 = 9.81


class FootLoads(Protocol):
    """What is asked of ``Kinematics``."""

    def foot_forces_n(
        self, position_rad: np.ndarray, effort_nm: np.ndarray, base_quaternion_wxyz: np.ndarray
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class GroundingConfig:
    """Shares of the robot's weight on the feet: above ``landed_share`` it stands, below ``lifted_share`` for
    ``lifted_s`` it hangs; ``fade_s``: from touch-down to full feedback."""

    landed_share: float = 0.3
    lifted_share: float = 0.15
    lifted_s: float = 0.3
    fade_s: float = 0.2


class GroundedController:
    """An LmoController that is asked only while the robot stands; same interface, same errors."""

    def __init__(
        self,
        controller: LmoController,
        spec: RobotSpec,
        loads: FootLoads | None = None,
        config: GroundingConfig | None = None,
    ) -> None:
        """``loads`` estimates the feet's loads; None makes a ``Kinematics`` of ``spec``."""
        self._controller, self._config = controller, config or GroundingConfig()
        self._loads: FootLoads = loads or Kinematics(spec)
        self._weight_n = _GRAVITY_M_S2 * sum(link.mass_kg for link in spec.links)
        self._light_s = 0.0
        self._share = 0.0
        self.name, self.joint_names, self.dt_s = controller.name, controller.joint_names, controller.dt_s

    @property
    def height_m(self) -> float:
        """Commanded stance height."""
        return self._controller.height_m

    @property
    def ramp(self) -> np.ndarray:
        """Smoothed request sbar [3]."""
        return self._controller.ramp

    @property
    def stepping(self) -> bool:
        """Whether the gait clock runs."""
        return self._controller.stepping

    @property
    def grounded(self) -> bool:
        """Whether the feet carry the robot."""
        return self._share > 0.0

    def reset(self, state: RobotState, height_m: float) -> None:
        """As LmoController; the feet count as lifted until their load says otherwise."""
        self._controller.reset(state, height_m)
        self._share = self._light_s = 0.0

    def step(self, state: RobotState, command: LocoCommand) -> LegWaistCommand:
        """As LmoController.step; raises what that raises, and remembers nothing then."""
        answer = self._controller.step(state, command)
        was_grounded = self.grounded
        self._feel(state)
        if not self.grounded or not was_grounded:
            self._controller.reset(state, self._controller.height_m)
        if self._share >= 1.0:
            return answer
        height = np.array([self._controller.height_m])
        stance = posture.reference(self._controller.posture_table, height, height)[0]
        target = stance + self._share * (answer.position_rad - stance)
        feedforward = self._share * answer.effort_feedforward_nm
        stiff = answer.stiffness * (target - answer.position_rad) + feedforward - answer.effort_feedforward_nm
        return replace(
            answer,
            position_rad=target,
            effort_feedforward_nm=feedforward,
            effort_nm=answer.effort_nm + stiff,
        )

    def _feel(self, state: RobotState) -> None:
        config = self._config
        forces = self._loads.foot_forces_n(state.position_rad, state.effort_nm, state.base_quaternion_wxyz)
        load = float(np.sum(forces)) / self._weight_n
        self._light_s = self._light_s + self.dt_s if load < config.lifted_share else 0.0
        if (not self.grounded and load < config.landed_share) or self._light_s >= config.lifted_s:
            self._share = 0.0
        else:
            self._share = min(1.0, self._share + self.dt_s / config.fade_s)
