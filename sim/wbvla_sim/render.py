"""Pictures of a scene: what a robot's camera sees, and a third person's view. Cheap enough for software GL.

A Renderer belongs to the thread that made it (OpenGL contexts do). Images are uint8 [H, W, 3], RGB.
"""

from __future__ import annotations

import atexit
import functools
import io
import weakref
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
                f"picture {width}x{height} does not fit the off-screen buffer "
                f"{buffer.offwidth}x{buffer.offheight}; raise visual/global/offwidth and offheight of the model"
            )
        self.width, self.height = width, height
        self._model = model
        self._gl = open_context(width, height)
        self._context = _upload(model, width, height, shadows, samples)
        # The GL platform ends at exit of the interpreter: whoever is still open must be closed before.
        self._at_exit = functools.partial(_close, weakref.ref(self))
        atexit.register(self._at_exit)
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
        # A tendon of no opacity would still cast a shadow.
        visible_ropes = bool(np.any(self._model.tendon_rgba[:, 3]))
        self._option.flags[mujoco.mjtVisFlag.mjVIS_TENDON] = visible_ropes
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._option, None, view, everything, self._scene)
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        mujoco.mjr_readPixels(self._flipped, None, self._viewport, self._context)
        return np.ascontiguousarray(self._flipped[::-1])

    @property
    def backend(self) -> str:
        """Kind of the GL context: EGL or OSMesa."""
        return "OSMesa" if "osmesa" in type(self._gl).__module__ else "EGL"

    def close(self) -> None:
        """Free the GL resources; further pictures are an error."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None
            atexit.unregister(self._at_exit)

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _close(reference: weakref.ref[Renderer]) -> None:
    renderer = reference()
    if renderer is not None:
        renderer.close()


def _upload(model: mujoco.MjModel, width: int, height: int, shadows: bool, samples: int) -> mujoco.MjrContext:
    """The model's meshes, textures and buffers in GL, as coarse and small as the picture permits.

    The engine reads these choices from the model when the context is made; the model is left as it was.
    """
    quality, buffer = model.vis.quality, model.vis.global_
    saved = quality.offsamples, quality.shadowsize, quality.numslices, quality.numstacks
    size = buffer.offwidth, buffer.offheight
    try:
        quality.offsamples = samples
        buffer.offwidth, buffer.offheight = width, height
        if not shadows:
            quality.shadowsize = 0
        if samples == 0:
            quality.numslices, quality.numstacks = 16, 10
        return mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
    finally:
        quality.offsamples, quality.shadowsize, quality.numslices, quality.numstacks = saved
        buffer.offwidth, buffer.offheight = size


def probe() -> str:
    """What draws pictures on this machine, after drawing one. Raises NoOpenGLError with what to install."""
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with Renderer(model, 64, 48) as renderer:
        picture = renderer.third_person(data, (0.0, 0.0, 0.0))
        drawn = "drew a picture" if picture.max() > 0 else "drew a black picture"
        return f"{renderer.backend}, {drawn}"


def encode_jpeg(image: np.ndarray, quality: int = 85) -> bytes:
    """JPEG of an RGB image uint8 [H, W, 3]."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="JPEG", quality=quality)
    return out.getvalue()
