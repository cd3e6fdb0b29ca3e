"""Devices by name, as the node's parameters ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wbvla_core.robot_spec import RobotSpec

from wbvla_teleop.devices.base import Device, DeviceError, Guarded, Where
from wbvla_teleop.devices.joy import JoyDevice
from wbvla_teleop.devices.joystick import JoystickDevice
from wbvla_teleop.devices.keyboard import KeyboardDevice
from wbvla_teleop.devices.layout import load_layout
from wbvla_teleop.devices.replay import ReplayDevice
from wbvla_teleop.devices.scripted import ScriptedDevice, load_operator

PERSONAL = ("joy", "joystick", "keyboard")
SELF_DRIVING = ("replay", "scripted")
JOY_TOPIC = "joy"


def make_device(value: Mapping[str, Any], spec: RobotSpec, where: Where) -> Device:
    """The device that the parameters ``device``, ``layout``, ``joystick``, ``bag``, ``operator_class``, ``guard`` and
    ``unattended`` describe, not yet open. Raises :class:`DeviceError`."""
    name, guard = value["device"], value["guard"]
    if name in PERSONAL:
        return _personal(name, value, where)
    if name == "replay":
        device: Device = ReplayDevice(Path(value["bag"]), spec)
    elif name == "scripted":
        device = ScriptedDevice(load_operator(value["operator_class"])(spec))
    else:
        raise DeviceError(
            f"parameter device is '{name}', expected one of {', '.join(PERSONAL + SELF_DRIVING)}"
        )
    if guard:
        if guard not in PERSONAL:
            raise DeviceError(f"parameter guard is '{guard}', expected one of {', '.join(PERSONAL)}")
        return Guarded(device, _personal(guard, value, where))
    if not value["unattended"]:
        raise DeviceError(
            f"device '{name}' drives by itself: name the device that holds the deadman (guard:=joy|joystick|keyboard), "
            "or set unattended:=true in simulation"
        )
    return device


def parts(device: Device) -> tuple[Device, ...]:
    """The device itself, or the two of a guarded one."""
    return device.parts if isinstance(device, Guarded) else (device,)


def _personal(name: str, value: Mapping[str, Any], where: Where) -> Device:
    if name == "keyboard":
        return KeyboardDevice(where)
    layout = load_layout(value["layout"])
    if name == "joystick":
        return JoystickDevice(value["joystick"], layout, where)
    return JoyDevice(JOY_TOPIC, layout, where)
