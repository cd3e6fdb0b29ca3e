"""A MuJoCo model in the browser by viser: its bodies as nodes that follow the data. Needs the extra ``view``."""

from __future__ import annotations

import mujoco
import numpy as np
import viser

from wbvla_sim.view import shapes

BODY = "/body"
ROPES = "/ropes"
ROPE_RGB, ROPE_M = (50, 50, 50), 0.008
LABEL = "wbvla"
CELL_M = 0.5
EYE_M, LOOK_M = (-2.2, -2.6, 1.7), (0.6, 0.0, 0.6)
"""Where a new visitor stands and looks: behind the robot's right shoulder."""


def open_server(host: str, port: int) -> viser.ViserServer:
    """A server at the first free port from ``port`` on. ``host`` 127.0.0.1 lets only this machine in."""
    server = viser.ViserServer(host=host, port=port, label=LABEL, verbose=False)
    server.scene.set_up_direction("+z")
    server.gui.main_panel.dock_right()
    server.gui.configure_theme(show_logo=False, show_share_button=False)
    server.initial_camera.position, server.initial_camera.look_at = EYE_M, LOOK_M
    return server


def address(server: viser.ViserServer) -> str:
    """What to type into a browser on this machine."""
    host = server.get_host()
    return f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{server.get_port()}"


class SceneView:
    """Shows one model at a time; everybody who is connected sees the same."""

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        self._model: mujoco.MjModel | None = None
        self._frames: dict[int, viser.FrameHandle] = {}
        self._ropes: viser.LineSegmentsHandle | None = None

    def follow(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Show ``data`` (its kinematics and tendons up to date). Only what moved is sent; another model than before is
        sent whole."""
        with self._server.atomic():
            if model is not self._model:
                self._begin(model)
            for body, frame in self._frames.items():
                frame.position, frame.wxyz = data.xpos[body], data.xquat[body]
            self._show_ropes(shapes.rope_points(model, data))

    def _begin(self, model: mujoco.MjModel) -> None:
        scene = self._server.scene
        scene.reset()
        self._model, self._frames, self._ropes = model, {}, None
        scene.add_grid("/grid", 8.0, 8.0, cell_size=CELL_M, section_size=1.0, position=(0.0, 0.0, 0.002))
        for number, part in enumerate(shapes.parts_of(model)):
            node = f"{BODY}/{part.body}"
            if part.body not in self._frames:
                self._frames[part.body] = scene.add_frame(node, show_axes=False)
            *colour, opacity = part.rgba
            scene.add_mesh_simple(
                f"{node}/{number}",
                part.triangles.vertices.astype(np.float32),
                part.triangles.faces.astype(np.uint32),
                color=tuple(round(255 * value) for value in colour),
                opacity=None if opacity >= 1.0 else opacity,
            )

    def _show_ropes(self, points: np.ndarray) -> None:
        if self._ropes is not None and len(points) == len(self._ropes.points):
            self._ropes.points = points.astype(np.float32)
            return
        if self._ropes is not None:
            self._ropes.remove()
            self._ropes = None
        if len(points):
            self._ropes = self._server.scene.add_line_segments(
                ROPES, points.astype(np.float32), ROPE_RGB, thickness=ROPE_M
            )
