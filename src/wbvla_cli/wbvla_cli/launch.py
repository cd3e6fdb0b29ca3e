"""``wbvla launch``: ros2 launch where ROS 2 is sourced, the embedded launcher elsewhere."""

from __future__ import annotations

import os
import shutil
import sys

ROBOTS = {"x2": "x2.launch.py"}
PACKAGE = "wbvla_bringup"

USAGE = """usage: wbvla launch ROBOT [name:=value ...] [--show-args]

Starts the graph of a robot (robots: {robots}).

  wbvla launch x2 sim:=true                 the MuJoCo twin, hung in its gantry
  wbvla launch x2 sim:=true record:=true    and an episode of the whole run
  wbvla launch x2 --show-args               every argument with its default

With ROS 2 sourced this is 'ros2 launch {package} x2.launch.py ...'. Ctrl-C stops it safely."""


def has_ros2() -> bool:
    """Whether a real ROS 2 (not the embedded graph) is on the path."""
    try:
        import rclpy
    except ModuleNotFoundError:
        return False
    return shutil.which("ros2") is not None and "embedded" not in (rclpy.__file__ or "").split("/")


def command(robot: str, arguments: list[str]) -> list[str]:
    """The process that launches ``robot`` with ``name:=value`` arguments.

    Raises:
        ValueError: unknown robot.
    """
    if robot not in ROBOTS:
        raise ValueError(f"there is no robot '{robot}' to launch; choose one of {', '.join(ROBOTS)}")
    if has_ros2():
        return ["ros2", "launch", PACKAGE, ROBOTS[robot], *arguments]
    return [sys.executable, "-m", "wbvla_embedded.cli", "launch", PACKAGE, ROBOTS[robot], *arguments]


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE.format(robots=", ".join(ROBOTS), package=PACKAGE))
        return 0 if argv else 2
    words = command(argv[0], argv[1:])
    # Become the launcher, so that whoever signals this command signals the launcher.
    os.execvp(words[0], words)
