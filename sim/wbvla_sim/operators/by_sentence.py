"""The operator who understands the sentences of all tasks: on the running graph nobody else needs to know which it is."""

from __future__ import annotations

from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import RobotState
from wbvla_teleop.devices.scripted import Operator, View, load_operator
from wbvla_teleop.frame import TeleopFrame


class OperatorBySentence:
    """Hands every sentence to the first task's operator that understands it."""

    def __init__(self, robot: RobotSpec | str = "x2_ultra") -> None:
        """``robot`` is whose hands they move, or its name."""
        from wbvla_sim.tasks.base import tasks

        spec = robot if isinstance(robot, RobotSpec) else RobotSpec.load(robot)
        names = dict.fromkeys(task.operator for task in tasks().values())
        self._operators: list[Operator] = [load_operator(name)(spec) for name in names]
        self._chosen = self._operators[0]

    def begin(self, sentence: str) -> None:
        """Do what ``sentence`` says from now on. Raises ValueError with what each operator would understand."""
        complaints = []
        for operator in self._operators:
            try:
                operator.begin(sentence)
            except ValueError as error:
                complaints.append(str(error))
            else:
                self._chosen = operator
                return
        raise ValueError("; or ".join(complaints))

    def act(self, view: View, state: RobotState, now_ns: int) -> TeleopFrame:
        """See :class:`wbvla_teleop.devices.scripted.Operator`."""
        return self._chosen.act(view, state, now_ns)
