"""``wbvla launch``: ros2 launch where ROS 2 is sourced, the embedded launcher elsewhere."""

from __future__ import annotations

import os

from wbvla_ros.launch_command import PACKAGE, ROBOTS, launch_command

USAGE = """usage: wbvla launch ROBOT [name:=value ...] [--show-args]

Starts the graph of a robot (robots: {robots}).

  wbvla launch x2 sim:=true                 the MuJoCo twin, hung in its gantry
  wbvla launch x2 sim:=true record:=true    and an episode of the whole run
  wbvla launch x2 --show-args               every argument with its default

With ROS 2 sourced this is 'ros2 launch {package} x2.launch.py ...'. Ctrl-C stops it safely."""


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE.format(robots=", ".join(ROBOTS), package=PACKAGE))
        return 0 if argv else 2
    words = launch_command(argv[0], argv[1:])
    # Become the launcher, so that whoever signals this command signals the launcher.
    os.execvp(words[0], words)
