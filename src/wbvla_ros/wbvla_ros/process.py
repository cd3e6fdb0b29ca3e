"""How a node process begins and ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from wbvla_ros.lifecycle import ManagedNode


def run(factory: Callable[[], ManagedNode], args: list[str] | None = None) -> int:
    """Make the node, spin until SIGINT or SIGTERM, leave safely; returns the exit code.

    rclpy's own signal handlers shut the context down before a node could publish its safe command, so this process
    installs its own: the safe command goes out first, then the context.
    """
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stop = False

    def ask_to_stop(_signal, _frame):
        nonlocal stop
        stop = True

    signal.signal(signal.SIGINT, ask_to_stop)
    signal.signal(signal.SIGTERM, ask_to_stop)
    node, code = None, 0
    executor = SingleThreadedExecutor()
    try:
        node = factory()
        executor.add_node(node)
        while not stop and rclpy.ok():
            executor.spin_once(timeout_sec=0.2)
    except ExternalShutdownException:
        pass
    except SystemExit as refusal:
        code = int(refusal.code or 0)
    finally:
        if node is not None:
            node.leave()
            executor.remove_node(node)
            node.destroy_node()
        rclpy.try_shutdown()
    return code


def main_of(factory: Callable[[], ManagedNode]) -> Callable[[], None]:
    """A console-script entry point for the node that ``factory`` makes."""

    def main() -> None:
        sys.exit(run(factory))

    return main
