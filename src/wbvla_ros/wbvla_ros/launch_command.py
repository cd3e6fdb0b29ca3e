"""The process that launches the graph of a robot: ros2 launch where ROS 2 is sourced, the embedded launcher elsewhere."""

from __future__ import annotations

import shutil
import sys

ROBOTS = {"x2": "x2.launch.py"}
PACKAGE = "wbvla_bringup"


def has_ros2() -> bool:
    """Whether a real ROS 2 (not the embedded graph) is on the path."""
    try:
        import rclpy
    except ModuleNotFoundError:
        return False
    return shutil.which("ros2") is not None and "embedded" not in (rclpy.__file__ or "").split("/")


def launch_command(robot: str, arguments: list[str]) -> list[str]:
    """The command line that launches ``robot`` with ``name:=value`` arguments.

    Raises:
        ValueError: unknown robot.
    """
    if robot not in ROBOTS:
        raise ValueError(f"there is no robot '{robot}' to launch; choose one of {', '.join(ROBOTS)}")
    if has_ros2():
        return ["ros2", "launch", PACKAGE, ROBOTS[robot], *arguments]
    return [sys.executable, "-m", "wbvla_embedded.cli", "launch", PACKAGE, ROBOTS[robot], *arguments]
