"""A launched graph as a context: started, watched, stopped in order, its files left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil

from wbvla_ros.launch_command import launch_command

STOP_TIMEOUT_S = 20.0
EXECUTABLES = (
    "plant",
    "sim_node",
    "driver_node",
    "lmo_node",
    "vla_node",
    "teleop_node",
    "recorder",
    "robot_state_publisher",
)


def label(process: psutil.Process) -> str:
    """Executable name of a node process; ``launch`` for the launcher itself."""
    for part in process.cmdline():
        name = part.rsplit("/", 1)[-1].removesuffix(".py")
        if name in EXECUTABLES:
            return name
        # The embedded launcher starts a node as 'module:function'.
        for executable in EXECUTABLES:
            if executable in part.replace(":", " ").replace(".", " ").split():
                return executable
    return "launch"


class GraphError(RuntimeError):
    """The launched graph ended by itself; the message holds its last words."""


class Graph:
    """``wbvla launch`` in a process group of its own, its output in ``log``."""

    def __init__(self, robot: str, arguments: dict[str, str], log: Path):
        self._log = log
        command = launch_command(robot, [f"{name}:={value}" for name, value in arguments.items()])
        self._output = log.open("wb")
        self.process = subprocess.Popen(
            command,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *_exception) -> None:
        self.stop()

    def check(self) -> None:
        """Raises :class:`GraphError` when the launch has ended."""
        code = self.process.poll()
        if code is not None:
            raise GraphError(
                f"the launch ended with exit code {code}; {self._log} ends with:\n{self.last_words()}"
            )

    def process_named(self, name: str) -> psutil.Process:
        """The node process of the graph that runs ``name``.

        Raises:
            GraphError: there is none.
        """
        for process in psutil.Process(self.process.pid).children(recursive=True):
            if label(process) == name:
                return process
        raise GraphError(f"the graph runs no process '{name}'")

    def last_words(self, lines: int = 12) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> int:
        """SIGINT, as Ctrl-C would; SIGKILL to the whole group when that does not end it. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._output.close()
        return self.process.returncode
