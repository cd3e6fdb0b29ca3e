"""Arms, head and grippers: chunks in, one limited motion and its gravity feed-forward out."""

from __future__ import annotations

import numpy as np
from wbvla_core.chunk import ChunkMerger, Merge
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import ArmTarget, RobotState, Source

from wbvla_driver.config import DriverConfig
from wbvla_driver.estimation import BodyModel


class UpperBody:
    """The motion of all joints of the groups arms and head, followed by the grippers."""

    def __init__(self, spec: RobotSpec, body: BodyModel, config: DriverConfig) -> None:
        self._body = body
        self._gravity_share = config.gravity_share
        groups = [group for group in ("arms", "head") if spec.groups.get(group)]
        self.joints = np.concatenate([spec.index(group) for group in groups])
        self.names = (*(spec.joint_names[i] for i in self.joints), *spec.hand_names)
        hands = len(spec.hands)
        rest = np.concatenate((spec.default_rad[self.joints], np.zeros(hands)))
        speeds = np.minimum(spec.velocity_rad_s[self.joints], config.upper_speed_rad_s)
        self._merger = ChunkMerger(
            self.names,
            np.concatenate((spec.lower_rad[self.joints], np.zeros(hands))),
            np.concatenate((spec.upper_rad[self.joints], np.ones(hands))),
            np.concatenate((speeds, [hand.velocity_m_s / hand.stroke_m for hand in spec.hands])),
            config.chunk,
        )
        self._rest = rest
        self._n_joints = len(self.joints)
        self._gravity = np.zeros(spec.n)
        self._sequence = 0

    def reset(self, gripper_opening: np.ndarray, now_ns: int) -> None:
        """Default arm pose, grippers as they are."""
        rest = self._rest.copy()
        rest[self._n_joints :] = np.clip(gripper_opening, 0.0, 1.0)
        self._merger.reset(rest, now_ns)

    def merge(self, target: ArmTarget, now_ns: int, clock_offset_ns: int, takeover: bool) -> Merge:
        """Blend a checked chunk in."""
        return self._merger.merge(target, now_ns, clock_offset_ns, takeover)

    def hold(self, now_ns: int) -> None:
        """Come to rest: whoever commanded has lost the authority."""
        self._merger.hold(now_ns)

    def update_gravity(self, state: RobotState) -> None:
        """Gravity torques of the present pose; they change slowly, so this need not run at every tick."""
        if self._gravity_share > 0.0:
            gravity = self._body.arm_gravity_nm(state.position_rad, state.base_quaternion_wxyz)
            self._gravity = self._gravity_share * gravity

    @property
    def gravity_nm(self) -> np.ndarray:
        """Feed-forward torque [n], zero outside arms and head."""
        return self._gravity

    @property
    def limited(self) -> tuple[str, ...]:
        """Names whose plan lay beyond its limits at the last sample."""
        return tuple(self.names[i] for i in np.flatnonzero(self._merger.limited))

    def sample(self, now_ns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Joint positions, joint velocities (both in the order of ``joints``) and gripper openings now."""
        position, velocity = self._merger.sample(now_ns)
        n = self._n_joints
        return position[:n], velocity[:n], position[n:]

    def planned(self, now_ns: int, stamp_ns: int, source: Source, session: int) -> ArmTarget:
        """What passed the mux, before clamps, as a chunk of one step due now: the recorded action."""
        self._sequence += 1
        return ArmTarget(
            joint_names=self.names,
            positions=self._merger.planned(now_ns)[None, :],
            time_from_start_ns=np.zeros(1, np.int64),
            observation_stamp_ns=stamp_ns,
            source=source,
            session=session,
            sequence=self._sequence,
            stamp_ns=stamp_ns,
        )
