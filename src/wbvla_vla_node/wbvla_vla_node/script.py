"""Timed poses in a YAML file: what the scripted backend plays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from wbvla_core.robot_spec import RobotSpec

_REST_S = 2.0
PACKAGED = Path(__file__).parent / "scripts"
_STEP_KEYS = {"at_s", "over_s", "joints", "height_m", "flags"}


class ScriptError(ValueError):
    """A script file cannot be used; names file, sentence, step and key."""


@dataclass(frozen=True)
class Step:
    """From ``at_s`` on: move to ``position`` [J] within ``over_s``, command ``flags`` and ``height_m``."""

    at_s: float
    over_s: float
    position: np.ndarray
    flags: tuple[int, int, int]
    height_m: float


@dataclass(frozen=True)
class Script:
    """Steps in order of time for one sentence; over after ``end_s``, or from the start again when
    ``loop``."""

    steps: tuple[Step, ...]
    end_s: float
    loop: bool

    def sample(self, time_s: float, start: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int], float]:
        """Pose [J], flags and height at ``time_s`` after the start from pose ``start`` [J]."""
        position, active = start, self.steps[0]
        if self.loop and time_s >= self.end_s:
            time_s, position = time_s % self.end_s, self.steps[-1].position
        for step in self.steps:
            if time_s < step.at_s:
                break
            # Rest to rest with limited jerk: 10 x^3 - 15 x^4 + 6 x^5.
            x = min(1.0, (time_s - step.at_s) / step.over_s) if step.over_s > 0 else 1.0
            weight = x * x * x * (10.0 + x * (6.0 * x - 15.0))
            position, active = position + weight * (step.position - position), step
        return position, active.flags, active.height_m


@dataclass(frozen=True)
class ScriptBook:
    """Scripts by sentence (lower case); ``joint_names`` [J] are the columns of all poses."""

    joint_names: tuple[str, ...]
    scripts: dict[str, Script]
    rest: Script

    def find(self, sentence: str) -> Script | None:
        return self.scripts.get(" ".join(sentence.lower().split()))


def load_scripts(path: str | Path, spec: RobotSpec) -> ScriptBook:
    """Read a script file by path, or a packaged one by name.

    The file maps sentences to ``{loop, end_s, steps: [{at_s, over_s, joints: {name: value}, height_m,
    flags}]}``. A step keeps what it does not name. Joints may be arm and head joints [rad] and grippers
    (0..1).

    Raises:
        ScriptError: unreadable, unknown sentence keys, joints or values out of the robot's range.
    """
    file = Path(path) if Path(path).suffix else PACKAGED / f"{path}.yaml"
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScriptError(f"{file}: not a readable YAML file ({error})") from None
    if not isinstance(data, dict) or not isinstance(data.get("sentences"), dict) or not data["sentences"]:
        raise ScriptError(f"{file}: expected a key 'sentences' with a mapping of sentences to scripts")
    joints = (*spec.groups["arms"], *spec.groups["head"])
    names = (*joints, *spec.hand_names)
    index = spec.index(joints)
    grippers = np.zeros(len(spec.hand_names))
    reader = _Reader(
        file,
        names,
        np.concatenate((spec.default_rad[index], grippers)),
        np.concatenate((spec.lower_rad[index], grippers)),
        np.concatenate((spec.upper_rad[index], grippers + 1.0)),
        spec.nominal_height_m,
        spec.stance_height_m,
    )
    scripts = {
        " ".join(str(sentence).lower().split()): reader.script(str(sentence), content)
        for sentence, content in data["sentences"].items()
    }
    rest = Script((Step(0.0, _REST_S, reader.default, (0, 0, 0), spec.nominal_height_m),), math.inf, False)
    return ScriptBook(names, scripts, rest)


@dataclass(frozen=True)
class _Reader:
    file: Path
    names: tuple[str, ...]
    default: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    height_m: float
    height_range_m: tuple[float, float]

    def script(self, sentence: str, content: object) -> Script:
        where = f"{self.file}: sentence '{sentence}'"
        if (
            not isinstance(content, dict)
            or not isinstance(content.get("steps"), list)
            or not content["steps"]
        ):
            raise ScriptError(f"{where}: expected a list 'steps'")
        steps: list[Step] = []
        for number, step in enumerate(content["steps"]):
            steps.append(self._step(f"{where}, step {number}", step, steps[-1] if steps else None))
        last = steps[-1].at_s + steps[-1].over_s
        end_s = self._number(where, "end_s", content.get("end_s", last))
        if end_s < last:
            raise ScriptError(f"{where}: end_s {end_s} is before the last step ends ({last})")
        if content.get("loop") and end_s <= 0.0:
            raise ScriptError(f"{where}: a loop needs an end_s above 0")
        return Script(tuple(steps), end_s, bool(content.get("loop", False)))

    def _step(self, where: str, step: object, before: Step | None) -> Step:
        if not isinstance(step, dict) or set(step) - _STEP_KEYS or "at_s" not in step:
            raise ScriptError(f"{where}: expected at_s and any of {sorted(_STEP_KEYS - {'at_s'})}")
        at_s = self._number(where, "at_s", step["at_s"])
        over_s = self._number(where, "over_s", step.get("over_s", 1.5))
        if before is not None and at_s < before.at_s:
            raise ScriptError(f"{where}: at_s {at_s} is before the step above ({before.at_s})")
        position = (before.position if before else self.default).copy()
        for name, value in (step.get("joints") or {}).items():
            if name not in self.names:
                raise ScriptError(f"{where}: joint '{name}' is no arm or head joint or gripper of the robot")
            column = self.names.index(name)
            number = self._number(where, name, value, signed=True)
            if not self.lower[column] <= number <= self.upper[column]:
                low, high = self.lower[column], self.upper[column]
                raise ScriptError(f"{where}: {name} {number} is outside {low:.3f}..{high:.3f}")
            position[column] = number
        flags = tuple(step.get("flags", before.flags if before else (0, 0, 0)))
        if len(flags) != 3 or any(flag not in (-1, 0, 1) for flag in flags):
            raise ScriptError(f"{where}: flags {list(flags)} must be three of -1, 0, 1")
        height_m = step.get("height_m", before.height_m if before else self.height_m)
        height_m = self._number(where, "height_m", height_m)
        low, high = self.height_range_m
        if not low <= height_m <= high:
            raise ScriptError(f"{where}: height_m {height_m} is outside {low}..{high}")
        return Step(at_s, over_s, position, flags, height_m)

    def _number(self, where: str, key: str, value: object, signed: bool = False) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ScriptError(f"{where}: {key} must be a number, got {value!r}")
        if value < 0 and not signed:
            raise ScriptError(f"{where}: {key} must not be negative, got {value}")
        return float(value)
