"""How a node process begins and ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import rclpy
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from wbvla_core.realtime import enter_realtime, raise_threads

from wbvla_ros.lifecycle import ManagedNode

REFUSED = 2
"""Exit code of a node that refuses its arguments or its configuration."""


def run(factory: Callable[[], ManagedNode], args: list[str] | None = None) -> int:
    """Make the node, spin until SIGINT or SIGTERM, leave safely; returns the exit code.

    rclpy's own signal handlers shut the context down before a node could publish its safe command, so this process
    installs its own: the safe command goes out first, then the context.
    """
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return REFUSED
    stop = False

    def ask_to_stop(number, _frame):
        nonlocal stop
        if stop:
            # Asked again: whatever the node waits for (a plant that is gone), it must not hold the exit up.
            raise SystemExit(128 + number)
        stop = True

    signal.signal(signal.SIGINT, ask_to_stop)
    signal.signal(signal.SIGTERM, ask_to_stop)
    node = executor = None
    try:
        node = factory()
        _enter_realtime(node)
        threads = node.executor_threads
        executor = MultiThreadedExecutor(threads) if threads > 1 else SingleThreadedExecutor()
        executor.add_node(node)
        while not stop and node.exit_code is None and rclpy.ok():
            executor.spin_once(timeout_sec=0.2)
    except ExternalShutdownException:
        pass
    finally:
        if node is not None:
            node.leave()
        if executor is not None:
            executor.shutdown(timeout_sec=1.0)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return (node.exit_code if node is not None else None) or 0


def _enter_realtime(node: ManagedNode) -> None:
    """One below the priority of the node's control thread, for the executor's threads and those of the middleware.

    They hold the interpreter lock, or locks of the middleware, at times; were they preempted by another process then,
    the control thread would wait for that one. And what they have not received yet no control thread can use.
    """
    if node.has_parameter("realtime_priority"):
        priority = node.get_parameter("realtime_priority").value
        if 1 < priority <= 99 and enter_realtime(priority - 1).fifo:
            raise_threads(priority - 1)


def main_of(factory: Callable[[], ManagedNode]) -> Callable[[], None]:
    """A console-script entry point for the node that ``factory`` makes."""

    def main() -> None:
        code = run(factory)
        sys.stdout.flush()
        sys.stderr.flush()
        # The node has left safely. A thread that still waits, say for a plant that never came, must not keep it.
        os._exit(code)

    return main
