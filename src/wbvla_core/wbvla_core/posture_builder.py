"""Makes the posture table of a robot by inverse kinematics on its MuJoCo model.

For each height: soles flat, the upper body in the default pose, the centre of mass ``com_ahead_m`` in front
of the ankles. The trunk stays upright while the ankles allow it; lower down it leans forward just enough to
keep them off their stop. The swing rows go further down: trunk upright, sole rising straight up, the ankle
clipped at its stop.
"""

from __future__ import annotations

import mujoco
import numpy as np

from .model import build_mjspec, joint_addresses
from .posture import LEFT, MIDDLE, RIGHT, PostureTable
from .robot_spec import RobotSpec


class PostureBuilder:
    """Inverse kinematics of symmetric standing postures of one robot (two legs of pitch hip, knee, pitch
    ankle)."""

    def __init__(self, spec: RobotSpec, com_ahead_m: float = 0.035, margin_rad: float = 0.06) -> None:
        """``margin_rad`` is kept between the ankles and their stop."""
        self._spec = spec
        self._model = build_mjspec(
            spec, feet="spheres", hands=False, visuals=False, bodies_collide=False
        ).compile()
        self._data = mujoco.MjData(self._model)
        self._qpos, self._dofs = joint_addresses(self._model, spec)
        self._com_ahead_m, self._margin_rad = com_ahead_m, margin_rad
        self._hip, self._knee, self._ankle = (
            spec.index((f"left_{name}_joint", f"right_{name}_joint"))
            for name in ("hip_pitch", "knee", "ankle_pitch")
        )
        self._is_ankle = np.isin(np.arange(spec.n), self._ankle)
        self._ankle_stop_rad = float(spec.lower_rad[self._ankle].max())
        self._feet = [self._model.body(foot.link).id for foot in spec.feet]
        self._sole_m = spec.feet[0].radius_m - min(point[2] for point in spec.feet[0].support_m)

    def table(
        self,
        lowest_m: float = 0.36,
        highest_m: float = 0.66,
        step_m: float = 0.005,
        lowest_stand_m: float = 0.45,
        lean_from_m: float | None = None,
    ) -> PostureTable:
        """The table from ``lowest_m`` to ``highest_m``; raises ValueError when a height is out of the legs'
        reach.

        With ``lean_from_m`` the lean grows evenly from there to what ``lowest_stand_m`` needs, so that a
        change of height never asks for a quick pitch of the trunk; without, it is the least that the ankles
        need."""
        count = round((highest_m - lowest_m) / step_m) + 1
        heights = np.linspace(lowest_m, highest_m, count)
        stand = swing = self._spec.default_rad.copy()
        lean, slope = 0.0, 0.0
        if lean_from_m is not None:
            _, deepest = self._deepest(heights[heights >= lowest_stand_m - 1e-9], stand)
            slope = deepest / (lean_from_m - lowest_stand_m)
        rows: list[tuple[np.ndarray, np.ndarray, float]] = []
        swings: list[np.ndarray] = []
        for height in heights[::-1]:
            if height >= lowest_stand_m - 1e-9:
                lean = max(lean, slope * ((lean_from_m or 0.0) - height))
                stand, lean = self.solve(height, stand, lean)
            rows.append((stand, self.gravity_nm(stand, lean), lean))
            swing = self._shorter(height, swing) if swings else stand
            swings.append(np.where(self._is_ankle, np.maximum(swing, self._ankle_stop_rad), swing))
        rows.reverse()
        swings.reverse()
        driven = self._spec.index(self._spec.lmo_joints)
        side = tuple(
            LEFT if name.startswith("left_") else RIGHT if name.startswith("right_") else MIDDLE
            for name in self._spec.lmo_joints
        )
        return PostureTable(
            heights_m=tuple(round(float(h), 6) for h in heights),
            joints_rad=tuple(tuple(round(float(v), 6) for v in pose[driven]) for pose, _, _ in rows),
            swing_rad=tuple(tuple(round(float(v), 6) for v in pose[driven]) for pose in swings),
            gravity_nm=tuple(tuple(round(float(v), 4) for v in torque[driven]) for _, torque, _ in rows),
            trunk_pitch_rad=tuple(round(float(lean), 6) for _, _, lean in rows),
            side=side,
        )

    def solve(self, height_m: float, start: np.ndarray, lean: float = 0.0) -> tuple[np.ndarray, float]:
        """Pose [n] and trunk lean at ``height_m``, found from a nearby pose; raises ValueError out of
        reach."""
        stop = self._ankle_stop_rad + self._margin_rad
        pose = self._legs(height_m, start, lean)
        while pose[self._ankle].min() < stop:
            lean += 0.005
            if lean > 0.6:
                raise ValueError(
                    f"{self._spec.name} cannot stand at {height_m:.3f} m: the ankles reach their stop"
                )
            pose = self._legs(height_m, pose, lean)
        return pose, lean

    def _deepest(self, heights: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, float]:
        """Pose and lean at the lowest of ``heights`` (rising), found by going down."""
        pose, lean = start, 0.0
        for height in heights[::-1]:
            pose, lean = self.solve(height, pose, lean)
        return pose, lean

    def gravity_nm(self, pose: np.ndarray, lean: float) -> np.ndarray:
        """Torques [n] that hold the pose, with half the weight on each sole below the centre of mass."""
        self._place(pose, lean)
        model, data = self._model, self._data
        data.qvel[:] = 0.0
        mujoco.mj_forward(model, data)
        torque = data.qfrc_bias.copy()
        weight = float(model.body_mass.sum()) * -model.opt.gravity[2]
        jacobian = np.zeros((3, model.nv))
        for foot in self._feet:
            point = data.xpos[foot] - [0.0, 0.0, self._sole_m]
            point[0] = data.subtree_com[0, 0]
            mujoco.mj_jac(model, data, jacobian, None, point, foot)
            torque -= jacobian[2] * 0.5 * weight
        return torque[self._dofs]

    def height_m(self, pose: np.ndarray, lean: float) -> float:
        """Height of the base above the soles, m."""
        self._place(pose, lean)
        return float(self._data.xpos[1, 2] - self._data.xpos[self._feet[0], 2] + self._sole_m)

    def com_ahead_m(self, pose: np.ndarray, lean: float) -> float:
        """Horizontal distance of the centre of mass in front of the ankles, m."""
        self._place(pose, lean)
        return float(self._data.subtree_com[1, 0] - self._data.xpos[self._feet[0], 0])

    def _legs(self, height_m: float, start: np.ndarray, lean: float) -> np.ndarray:
        target = np.array([height_m, self._com_ahead_m])
        return self._newton(
            start, lean, lambda pose: target - [self.height_m(pose, lean), self.com_ahead_m(pose, lean)]
        )

    def _shorter(self, height_m: float, start: np.ndarray) -> np.ndarray:
        """Both legs at ``height_m`` with the trunk upright and the ankles straight below where ``start`` has
        them."""
        self._place(start, 0.0)
        ankle_x = self._data.xpos[self._feet[0], 0]

        def miss(pose: np.ndarray) -> np.ndarray:
            height = self.height_m(pose, 0.0)
            return np.array([height_m - height, self._data.xpos[self._feet[0], 0] - ankle_x])

        return self._newton(start, 0.0, miss)

    def _newton(self, start: np.ndarray, lean: float, miss) -> np.ndarray:
        pose = self._with(start, float(start[self._hip[0]]), float(start[self._knee[0]]), lean)
        for _ in range(50):
            error = miss(pose)
            if np.abs(error).max() < 1e-9:
                return pose
            hip, knee = float(pose[self._hip[0]]), float(pose[self._knee[0]])
            slope = np.empty((2, 2))
            for column, (d_hip, d_knee) in enumerate(((1e-6, 0.0), (0.0, 1e-6))):
                slope[:, column] = (miss(self._with(pose, hip + d_hip, knee + d_knee, lean)) - error) / 1e-6
            step = np.clip(-np.linalg.solve(slope, error), -0.2, 0.2)
            pose = self._with(pose, hip + step[0], max(knee + step[1], 0.02), lean)
        raise ValueError(f"{self._spec.name}: no posture found (off by {np.abs(error).max():.4f} m)")

    def _with(self, pose: np.ndarray, hip: float, knee: float, lean: float) -> np.ndarray:
        out = pose.copy()
        out[self._hip], out[self._knee], out[self._ankle] = hip, knee, -(lean + hip + knee)
        return out

    def _place(self, pose: np.ndarray, lean: float) -> None:
        self._data.qpos[:3] = 0.0
        self._data.qpos[3:7] = (np.cos(0.5 * lean), 0.0, np.sin(0.5 * lean), 0.0)
        self._data.qpos[self._qpos] = pose
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
