"""A second copy of the plant's world in another process: posed from snapshots, rendered, measured."""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import dataclass

import mujoco
import numpy as np
from wbvla_core.model import ROOT_JOINT
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim.gantry import show_gantry
from wbvla_sim.render import Renderer
from wbvla_sim.sim_mailbox import SimSnapshot
from wbvla_sim.world import build_world


@dataclass(frozen=True)
class BodyPose:
    """Pose of a body in the world frame."""

    name: str
    position_m: np.ndarray
    quaternion_wxyz: np.ndarray


@dataclass(frozen=True)
class Measures:
    """Ground truth derived from a snapshot, in the world frame."""

    pelvis: BodyPose
    linear_velocity_m_s: np.ndarray
    angular_velocity_rad_s: np.ndarray
    centre_of_mass_m: np.ndarray
    objects: tuple[BodyPose, ...]


def give_back_memory() -> None:
    """Have the C library return what it holds back of freed memory, where it can (glibc): else a process that draws scene
    after scene grows for an hour before it stays as large as it is."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Mirror:
    """Follows one plant. Rendering belongs to the thread that made the first picture."""

    def __init__(self, spec: RobotSpec) -> None:
        self._spec = spec
        self._key: tuple[str, int] | None = None
        self._renderers: dict[tuple[int, int], Renderer] = {}

    def follow(self, snapshot: SimSnapshot) -> None:
        """Take the state of ``snapshot``; rebuilds the world when its task or seed is another one.

        Raises ValueError when this process does not know the task, or knows it with other coordinates.
        """
        key = (snapshot.task, snapshot.seed)
        if key != self._key:
            self.close()
            give_back_memory()
            world = build_world(self._spec, *key)
            self._model, self._movables = world.model, world.movables
            self._data = mujoco.MjData(world.model)
            self._root = int(world.model.joint(ROOT_JOINT).qposadr[0])
            self._key = key
        if snapshot.qpos.size != self._model.nq:
            raise ValueError(
                f"task {key[0]!r} has {self._model.nq} coordinates here and {snapshot.qpos.size} in the plant; "
                "run both from one source"
            )
        self._data.qpos[:], self._data.qvel[:] = snapshot.qpos, snapshot.qvel
        show_gantry(self._model, self._data, snapshot.bar_pose, not np.isnan(snapshot.gantry_height_m))
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)

    @property
    def model(self) -> mujoco.MjModel:
        """The world last followed; another object when the scene is another one."""
        return self._model

    @property
    def data(self) -> mujoco.MjData:
        """Its state, bodies placed (``mj_kinematics``)."""
        return self._data

    def picture(self, camera: str, width: int, height: int) -> np.ndarray:
        """RGB picture [H, W, 3] of a robot camera; raises NoOpenGLError where there is no OpenGL."""
        renderer = self._renderers.get((width, height))
        if renderer is None:
            renderer = self._renderers[width, height] = Renderer(self._model, width, height)
        mujoco.mj_camlight(self._model, self._data)
        mujoco.mj_tendon(self._model, self._data)
        return renderer.camera(self._data, camera)

    def measure(self) -> Measures:
        """What a judge wants to know of the state last followed."""
        data, root = self._data, self._root
        pelvis = self._pose(self._spec.base_link)
        dof = int(self._model.joint(ROOT_JOINT).dofadr[0])
        rotation = data.body(self._spec.base_link).xmat.reshape(3, 3)
        return Measures(
            pelvis=BodyPose(pelvis.name, data.qpos[root : root + 3].copy(), pelvis.quaternion_wxyz),
            linear_velocity_m_s=data.qvel[dof : dof + 3].copy(),
            angular_velocity_rad_s=rotation @ data.qvel[dof + 3 : dof + 6],
            centre_of_mass_m=data.subtree_com[self._model.body(self._spec.base_link).id].copy(),
            objects=tuple(self._pose(name) for name in self._movables),
        )

    def _pose(self, name: str) -> BodyPose:
        body = self._data.body(name)
        return BodyPose(name, body.xpos.copy(), body.xquat.copy())

    def close(self) -> None:
        """Free the GL resources."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
