"""The tests of the embedded graph use it even where a real ROS 2 is on the path, each run in its own DDS domain."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

EMBEDDED = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(EMBEDDED))
os.environ.setdefault('ROS_DOMAIN_ID', str(10 + os.getpid() % 90))

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402


def environment(**more: str) -> dict[str, str]:
    """Environment of a child process that uses the embedded graph in the same domain."""
    path = os.pathsep.join([str(EMBEDDED), *filter(None, [os.environ.get('PYTHONPATH')])])
    return {**os.environ, 'PYTHONPATH': path, 'PYTHONUNBUFFERED': '1', **more}


@pytest.fixture
def child_environment() -> Callable[..., dict[str, str]]:
    """Makes environments of child processes."""
    return environment


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts Python programs given as text; those that still run are killed at the end."""
    running: list[subprocess.Popen] = []

    def run(source: str, *arguments: str, **more: str) -> subprocess.Popen:
        command = [sys.executable, '-c', textwrap.dedent(source), *arguments]
        running.append(subprocess.Popen(command, env=environment(**more), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def graph() -> Iterator[Callable[[float, Callable[[], bool]], bool]]:
    """A running context; the value spins all nodes made by `graph.node` until something holds."""
    rclpy.init(args=[])
    executor = SingleThreadedExecutor()
    nodes: list = []

    def spin_until(seconds: float, holds: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + seconds
        while not holds() and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.02)
        return holds()

    def node(name: str, node_class: type | None = None, **options: Any) -> Any:
        made = node_class(name, **options) if node_class else rclpy.create_node(name, **options)
        nodes.append(made)
        executor.add_node(made)
        return made

    spin_until.node, spin_until.executor = node, executor
    yield spin_until
    for made in nodes:
        made.destroy_node()
    executor.shutdown()
    rclpy.try_shutdown()
