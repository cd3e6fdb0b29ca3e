"""Parameters of the driver node. The limits of the safety machine and of the core are parameters one by
one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from wbvla_core.chunk import ChunkConfig
from wbvla_core.safety import SafetyConfig

from wbvla_driver.config import DriverConfig

# name: (default, description)
NODE_PARAMETERS: dict[str, tuple[Any, str]] = {
    "robot": ("x2_ultra", "Robot spec, by name or path."),
    "backend": ("mailbox", "Who owns the actuators: mailbox (the simulated plant) or aimdk (a real X2)."),
    "mailbox": ("", "Name of the plant's mailbox; empty: the namespace of this node."),
    "plant_timeout_s": (20.0, "How long configure waits for the plant [s]."),
    "last_resort_bundle": (
        "lmo/stand",
        "LMO bundle of the driver's own stand controller, kind/name or path.",
    ),
    "rate_hz": (200.0, "Rate of the control loop [Hz], 100..500."),
    "realtime_priority": (50, "SCHED_FIFO priority of the control thread, 1..99; 0: normal scheduling."),
    "second_publisher_period_s": (0.5, "How often command topics are searched for a second publisher [s]."),
}
_NESTED = {"safety": SafetyConfig, "chunk": ChunkConfig}


@dataclass(frozen=True)
class Settings:
    """All parameters, read and checked."""

    node: dict[str, Any]
    core: DriverConfig


def _fields() -> dict[str, tuple[str, Any]]:
    """Parameter name -> (name of the nested dataclass or "", default)."""
    found: dict[str, tuple[str, Any]] = {}
    for field in dataclasses.fields(DriverConfig):
        if field.name not in _NESTED:
            found[field.name] = ("", field.default)
    for prefix, kind in _NESTED.items():
        for field in dataclasses.fields(kind):
            found[f"{prefix}.{field.name}"] = (prefix, field.default)
    return found


def declare(node: Node) -> None:
    """Declare every parameter, read-only: they are read once, when the node configures itself."""
    for name, (default, text) in NODE_PARAMETERS.items():
        node.declare_parameter(name, default, ParameterDescriptor(description=text, read_only=True))
    for name, (_, default) in _fields().items():
        value = list(default) if isinstance(default, tuple) else default
        text = "Setting of the driver core; see README.md."
        node.declare_parameter(name, value, ParameterDescriptor(description=text, read_only=True))


def read(node: Node) -> Settings:
    """Read and check them; raises ValueError naming the parameter."""
    value = {name: node.get_parameter(name).value for name in NODE_PARAMETERS}
    if not 100.0 <= value["rate_hz"] <= 500.0:
        raise ValueError(f"parameter rate_hz is {value['rate_hz']}, expected 100..500")
    if not 0.1 <= value["second_publisher_period_s"] <= 1.0:
        raise ValueError("parameter second_publisher_period_s must be 0.1..1 s")
    plain: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {prefix: {} for prefix in _NESTED}
    for name, (prefix, default) in _fields().items():
        given = node.get_parameter(name).value
        if isinstance(default, tuple):
            if len(given) != len(default):
                raise ValueError(f"parameter {name} needs {len(default)} numbers, got {len(given)}")
            given = tuple(float(item) for item in given)
        target = nested[prefix] if prefix else plain
        target[name.removeprefix(f"{prefix}.")] = given
    parts = {prefix: kind(**nested[prefix]) for prefix, kind in _NESTED.items()}
    return Settings(value, DriverConfig(**plain, **parts))
