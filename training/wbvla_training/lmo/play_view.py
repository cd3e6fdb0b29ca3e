"""A policy that is being rolled out, in the browser: choose what it shall do. Needs the extra ``view``."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
from wbvla_sim.view.browser import SceneView, address, open_server

Request = tuple[float, float, float]
SCRIPT = "script"
REQUESTS: dict[str, Request] = {
    "stand": (0.0, 0.0, 0.0), "ahead": (1.0, 0.0, 0.0), "back": (-1.0, 0.0, 0.0), "left": (0.0, 1.0, 0.0),
    "right": (0.0, -1.0, 0.0), "turn left": (0.0, 0.0, 1.0), "turn right": (0.0, 0.0, -1.0),
}  # fmt: skip
HEIGHT_M = (0.45, 0.66)


class PlayView:
    """The page; ``script`` gives request and height where nobody chooses."""

    def __init__(
        self, model: mujoco.MjModel, port: int, script: Callable[[float], tuple[Request, float]]
    ) -> None:
        self._model, self._data, self._script = model, mujoco.MjData(model), script
        self.server = open_server("127.0.0.1", port)
        self._scene = SceneView(self.server)
        self._choice = self.server.gui.add_button_group("command", (SCRIPT, *REQUESTS))
        self._height = self.server.gui.add_slider("height [m]", *HEIGHT_M, step=0.01, initial_value=0.64)
        self._said = self.server.gui.add_markdown("")
        print(f"look at {address(self.server)} (Ctrl-C ends)", flush=True)

    def command(self, t_s: float) -> tuple[Request, float]:
        """What is asked of the robot now."""
        if self._choice.value == SCRIPT:
            return self._script(t_s)
        return REQUESTS[self._choice.value], float(self._height.value)

    def show(self, pose: np.ndarray) -> None:
        """Pose the robot by its qpos."""
        if not self.server.get_clients():
            return
        self._data.qpos[:] = pose
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_tendon(self._model, self._data)
        self._scene.follow(self._model, self._data)
        said = f"{self._choice.value}, pelvis {pose[2]:.2f} m"
        if said != self._said.content:
            self._said.content = said

    def close(self) -> None:
        """Close the page."""
        self.server.stop()
