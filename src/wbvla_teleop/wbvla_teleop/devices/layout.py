"""Which axis and which button of a gamepad is which: a layout file, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wbvla_teleop.devices.base import DeviceError
from wbvla_teleop.frame import BUTTONS

AXES = ("left_x", "left_y", "right_x", "right_y", "hat_x", "hat_y", "left_trigger", "right_trigger")
KEYS = ("deadman", "rest_hands", *BUTTONS)
SCHEMA_VERSION = 1
_FOLDER = Path(__file__).resolve().parent.parent / "layouts"


@dataclass(frozen=True)
class Axis:
    """One axis: its number; ``trigger`` axes rest at +1 and are -1 when pulled; ``invert`` turns the sign."""

    axis: int
    trigger: bool = False
    invert: bool = False


@dataclass(frozen=True)
class Layout:
    """``axes`` by the names of :data:`AXES`, ``buttons`` by those of :data:`KEYS`."""

    name: str
    axes: dict[str, Axis]
    buttons: dict[str, int]

    def value(self, axes: Sequence[float], name: str) -> float:
        """A stick -1..1, left and up positive, or a trigger 0..1; 0 where the pad has no such axis.

        A trigger that no event has come from yet reads 0 in the message: it counts as released.
        """
        axis = self.axes[name]
        if axis.axis >= len(axes):
            return 0.0
        raw = float(axes[axis.axis]) * (-1.0 if axis.invert else 1.0)
        if not axis.trigger:
            return raw
        return 0.0 if raw == 0.0 else 0.5 * (1.0 - raw)

    def down(self, buttons: Sequence[int], name: str) -> bool:
        """Whether a button is down."""
        number = self.buttons[name]
        return number < len(buttons) and bool(buttons[number])


def layout_names() -> tuple[str, ...]:
    """The packaged layouts."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def load_layout(name_or_path: str) -> Layout:
    """A packaged layout by name, or a file by path. Raises :class:`DeviceError` naming file and field."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = _FOLDER / f"{name_or_path}.yaml"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(layout_names())
        raise DeviceError(
            f"layout {path}: cannot be read ({error.strerror}); packaged layouts: {known}"
        ) from None
    except yaml.YAMLError as error:
        raise DeviceError(f"layout {path}: not valid YAML: {' '.join(str(error).split())}") from None
    return _check(document, path)


def _check(document: Any, path: Path) -> Layout:
    def fail(problem: str) -> DeviceError:
        return DeviceError(f"layout {path}: {problem}")

    if not isinstance(document, dict) or set(document) != {"schema_version", "name", "axes", "buttons"}:
        raise fail("expected the keys schema_version, name, axes, buttons")
    if document["schema_version"] != SCHEMA_VERSION:
        raise fail(f"schema_version is {document['schema_version']}, this software reads {SCHEMA_VERSION}")
    for field, wanted in (("axes", AXES), ("buttons", KEYS)):
        given = document[field]
        if not isinstance(given, dict) or set(given) != set(wanted):
            odd = sorted(set(wanted) ^ set(given if isinstance(given, dict) else ()))
            raise fail(f"{field}: missing or unknown: {', '.join(odd)}")
    axes = {}
    for name, entry in document["axes"].items():
        if not isinstance(entry, dict) or not set(entry) <= {"axis", "trigger", "invert"}:
            raise fail(f"axes.{name}: expected axis, and trigger or invert if need be")
        if not _is_number(entry.get("axis")):
            raise fail(f"axes.{name}.axis: expected a number from 0 on")
        axes[name] = Axis(entry["axis"], bool(entry.get("trigger")), bool(entry.get("invert")))
    buttons = document["buttons"]
    wrong = [name for name, number in buttons.items() if not _is_number(number)]
    if wrong or len(set(buttons.values())) != len(buttons):
        raise fail(f"buttons: {', '.join(wrong) or 'two share one number'}; each needs a number of its own")
    return Layout(str(document["name"]), axes, dict(buttons))


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
