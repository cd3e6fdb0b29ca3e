"""Who begins and ends the episodes of trials on the running graph, and tells the robot what to do."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from wbvla_core.types import Source
from wbvla_teleop.devices.scripted import REST
from wbvla_teleop.frame import EPISODE_DISCARD, EPISODE_START, EPISODE_STOP

from wbvla_msgs.msg import EpisodeStatus
from wbvla_sim.tasks.base import Verdict
from wbvla_sim.tasks.gamepad_node import ImitatedGamepad
from wbvla_sim.tasks.supervisor import Supervisor


class Scribe(ABC):
    """Begins and ends episodes, and has the operator or the VLA begin."""

    def open(self, sentence: str) -> None:  # noqa: B027 - most of them have nothing to do yet
        """The scene is there and the robot hangs; it stands up next."""

    @abstractmethod
    def start(self, sentence: str) -> str:
        """The robot stands: begin. Returns the episode's name, "" when nothing is recorded."""

    @abstractmethod
    def stop(self, verdict: Verdict) -> None:
        """It was done."""

    @abstractmethod
    def discard(self, reason: str) -> None:
        """It failed, or is not to be kept."""


class ServiceScribe(Scribe):
    """By the recorder's services; the operator in the teleoperation node begins at the instruction."""

    def __init__(self, supervisor: Supervisor, operator_name: str) -> None:
        self._supervisor, self._operator_name = supervisor, operator_name

    def start(self, sentence: str) -> str:
        response = self._supervisor.call("start_episode", task=sentence, operator_name=self._operator_name)
        self._supervisor.instruct(sentence)
        return response.episode

    def stop(self, verdict: Verdict) -> None:
        self._supervisor.call("stop_episode", task_succeeded=verdict.success, note=verdict.reason)

    def discard(self, reason: str) -> None:
        self._supervisor.call("discard_episode", reason=reason)


class Teller(Scribe):
    """Records nothing: tells the sentence, and gives a VLA the authority."""

    def __init__(self, supervisor: Supervisor, vla: bool) -> None:
        self._supervisor, self._vla = supervisor, vla

    def start(self, sentence: str) -> str:
        self._supervisor.instruct(sentence)
        if self._vla:
            self._supervisor.call("set_authority", source=int(Source.VLA))
        return ""

    def stop(self, verdict: Verdict) -> None:
        self._supervisor.instruct(REST)

    def discard(self, reason: str) -> None:
        self._supervisor.instruct(REST)


class WholeTrialScribe(Teller):
    """Records from the hoist on, so that a bag shows how the robot got up, too."""

    def __init__(self, supervisor: Supervisor, vla: bool, operator_name: str) -> None:
        super().__init__(supervisor, vla)
        self._operator_name, self._name = operator_name, ""

    def open(self, sentence: str) -> None:
        response = self._supervisor.call("start_episode", task=sentence, operator_name=self._operator_name)
        self._name = response.episode

    def start(self, sentence: str) -> str:
        super().start(sentence)
        return self._name

    def stop(self, verdict: Verdict) -> None:
        self._supervisor.call("stop_episode", task_succeeded=verdict.success, note=verdict.reason)
        super().stop(verdict)

    def discard(self, reason: str) -> None:
        self._supervisor.call("discard_episode", reason=reason)
        super().discard(reason)


class GamepadScribe(Scribe):
    """By the buttons of the imitated gamepad, as a person at the robot would."""

    def __init__(self, supervisor: Supervisor, gamepad: ImitatedGamepad) -> None:
        self._supervisor, self._gamepad = supervisor, gamepad

    def start(self, sentence: str) -> str:
        self._supervisor.instruct(sentence)
        time.sleep(0.2)
        self._gamepad.press(EPISODE_START)
        name = self._supervisor.wait_for_episode(EpisodeStatus.RECORDING)
        self._gamepad.begin(sentence)
        return name

    def stop(self, verdict: Verdict) -> None:
        self._gamepad.rest()
        self._gamepad.press(EPISODE_STOP)
        self._supervisor.wait_for_episode(EpisodeStatus.FINISHED, EpisodeStatus.FAILED)

    def discard(self, reason: str) -> None:
        self._gamepad.rest()
        self._gamepad.press(EPISODE_DISCARD)
        self._supervisor.wait_for_episode(EpisodeStatus.DISCARDED, EpisodeStatus.FAILED)
