"""A Python class as the operator: it sees where things are (simulation only) and answers with frames."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.timing import NS_PER_S
from wbvla_core.types import RobotState

from wbvla_teleop.devices.base import DeviceError
from wbvla_teleop.frame import TeleopFrame

_SILENT_NS = NS_PER_S // 5
REST = "stand still"
"""The sentence that every operator understands: hands off the deadman."""


@dataclass(frozen=True)
class ObjectPose:
    """Pose of a body in the world."""

    position_m: np.ndarray
    quaternion_wxyz: np.ndarray


@dataclass(frozen=True)
class View:
    """What a scripted operator sees: the pelvis and the scene's objects by name, at ``stamp_ns``."""

    stamp_ns: int
    pelvis: ObjectPose
    objects: dict[str, ObjectPose]
    fell: bool = False


class Operator(Protocol):
    """Solves one task again and again; made with the robot whose hands it moves. ``begin`` raises ValueError for a
    sentence that it does not understand."""

    def begin(self, sentence: str) -> None: ...

    def act(self, view: View, state: RobotState, now_ns: int) -> TeleopFrame:
        """What to do now. Raises ValueError when the scene lacks what the sentence names."""
        ...


def load_operator(path: str) -> Callable[[RobotSpec], Operator]:
    """``module:Class`` to the class, which is called with the robot. Raises :class:`DeviceError`."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise DeviceError(f"operator '{path}': {error}; expected module:Class") from None


class ScriptedDevice:
    """Begins when it gets a sentence and needs a live view. :meth:`see`, :meth:`feel` and :meth:`instruct` may be
    called from another thread."""

    def __init__(self, operator: Operator) -> None:
        self.name = f"scripted operator {type(operator).__name__}"
        self._operator = operator
        self._lock = threading.Lock()
        self._view: View | None = None
        self._state: RobotState | None = None
        self._sentence: str | None = None
        self._begun = False
        self._blind = True
        self.problem = ""

    def open(self) -> None:
        self._view = self._state = None

    def see(self, view: View) -> None:
        """A newer view."""
        self._view = view

    def feel(self, state: RobotState) -> None:
        """A newer state of the robot."""
        self._state = state

    def instruct(self, sentence: str) -> None:
        """Do this from now on; "" and REST rest. Raises ValueError when the operator does not understand."""
        with self._lock:
            self._begun, self.problem = False, ""
            if sentence not in ("", REST):
                self._operator.begin(sentence)
                self._begun = True

    def read(self, now_ns: int) -> TeleopFrame | None:
        view, state = self._view, self._state
        if view is None or state is None or now_ns - view.stamp_ns > _SILENT_NS:
            self._blind = True
            return None
        with self._lock:
            if self._blind or not self._begun:
                # After a silence the deadman is let go of once, as a person would, and grasped anew.
                self._blind = False
                return TeleopFrame(now_ns, False)
            try:
                return self._operator.act(view, state, now_ns)
            except ValueError as error:  # the scene is not the one that the sentence speaks of
                self._begun, self.problem = False, str(error)
                return TeleopFrame(now_ns, False)

    def close(self) -> None:
        self._view = None
