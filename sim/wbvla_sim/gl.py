"""An OpenGL context without a screen: EGL, else OSMesa; software or GPU, whatever the machine has."""

from __future__ import annotations

import importlib
import os
from typing import Any

_BACKENDS = {"egl": "mujoco.egl", "osmesa": "mujoco.osmesa"}
_HELP = (
    "no OpenGL for off-screen rendering: {reasons}. On Debian or Ubuntu install it with: "
    "apt-get install libegl1 libgl1 libgl1-mesa-dri (or libosmesa6 for OSMesa)"
)


class NoOpenGLError(RuntimeError):
    """This machine cannot render off-screen; the text says what to install."""


def open_context(width: int, height: int) -> Any:
    """A current GL context (mujoco's GLContext) for pictures up to ``width`` x ``height``.

    The environment variable MUJOCO_GL (egl or osmesa) forces one backend. Raises NoOpenGLError.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower()
    reasons = []
    for name in [asked] if asked in _BACKENDS else list(_BACKENDS):
        try:
            context = importlib.import_module(_BACKENDS[name]).GLContext(width, height)
            context.make_current()
        except (
            Exception
        ) as error:  # Missing libraries surface as anything from ImportError to AttributeError.
            # PyOpenGL remembers the platform of a failed import; the next backend must choose its own.
            os.environ.pop("PYOPENGL_PLATFORM", None)
            reasons.append(f"{name}: {type(error).__name__}: {error}")
        else:
            return context
    raise NoOpenGLError(_HELP.format(reasons="; ".join(reasons)))
