"""Message classes by their ROS name."""

from __future__ import annotations

import importlib


def message_class(type_name: str):
    """``sensor_msgs/msg/Joy`` -> its class; None when its package is not installed here."""
    package, kind, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), name)
    except (ModuleNotFoundError, AttributeError):
        return None
