"""Pictures of a scene: what a robot's camera sees, and a third person's view. Cheap enough for software GL.

A Renderer belongs to the thread that made it (OpenGL contexts do). Images are uint8 [H, W, 3], RGB.
"""

from __future__ import annotations

import io
from types import TracebackType

import mujoco
import numpy as np
from PIL import Image

from wbvla_sim.gl import open_context

# Looks only: collision bodies (3) and sites (4) stay hidden.
_SHOWN_GROUPS = (0, 1, 2)


class Renderer:
    """Renders one model at one size."""

    def __init__(
        self, model: mujoco.MjModel, width: int, height: int, *, shadows: bool = False, samples: int = 0
    ) -> None:
        """Open a GL context and upload the model.

        Shadows and multisampling (``samples`` 4) double the time of a picture or more in software GL; the
        head camera does without. Raises wbvla_sim.gl.NoOpenGLError when the machine has no OpenGL,
        ValueError for a size that the model's off-screen buffer does not hold.
        """
        buffer = model.vis.global_
        if not (0 < width <= buffer.offwidth and 0 < height <= buffer.offheight):
            raise ValueError(
                f"picture {width}x{height} does not fit the off-screen buffer {buffer.offwidth}x{buffer.offheight};"
                " raise visual/global/offwidth and offheight of the model"
            )
        self.width, self.height = width, height
        self._model = model
        self._gl = open_context(width, height)
        # The buffer is allocated for these values when the context is made; a small one is cheaper.
        saved = model.vis.quality.offsamples, buffer.offwidth, buffer.offheight, model.vis.quality.shadowsize
        model.vis.quality.offsamples, buffer.offwidth, buffer.offheight = samples, width, height
        if not shadows:
            model.vis.quality.shadowsize = 0
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        model.vis.quality.offsamples, buffer.offwidth, buffer.offheight, model.vis.quality.shadowsize = saved
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=2000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_HAZE] = False
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = [group in _SHOWN_GROUPS for group in range(6)]
        self._option.sitegroup[:] = 0
        self._viewport = mujoco.MjrRect(0, 0, width, height)
        self._flipped = np.empty((height, width, 3), dtype=np.uint8)

    def camera(self, data: mujoco.MjData, name: str) -> np.ndarray:
        """Picture of the camera ``name`` [H, W, 3]. Raises KeyError for a camera that the model lacks."""
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = self._model.camera(name).id
        return self._render(data, view)

    def third_person(
        self,
        data: mujoco.MjData,
        target_m: np.ndarray | tuple[float, float, float],
        *,
        distance_m: float = 2.6,
        azimuth_deg: float = 145.0,
        elevation_deg: float = -14.0,
    ) -> np.ndarray:
        """Picture [H, W, 3] from ``distance_m`` away, looking at ``target_m`` (world). Azimuth is the
        direction of view: 180 looks at a robot that faces +x from the front, 90 from its right side."""
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FREE
        view.lookat[:] = target_m
        view.distance, view.azimuth, view.elevation = distance_m, azimuth_deg, elevation_deg
        return self._render(data, view)

    def _render(self, data: mujoco.MjData, view: mujoco.MjvCamera) -> np.ndarray:
        self._gl.make_current()
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._option, None, view, everything, self._scene)
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        mujoco.mjr_readPixels(self._flipped, None, self._viewport, self._context)
        return np.ascontiguousarray(self._flipped[::-1])

    def close(self) -> None:
        """Free the GL resources; further pictures are an error."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def encode_jpeg(image: np.ndarray, quality: int = 85) -> bytes:
    """JPEG of an RGB image uint8 [H, W, 3]."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="JPEG", quality=quality)
    return out.getvalue()
