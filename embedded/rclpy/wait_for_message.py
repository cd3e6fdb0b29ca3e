"""Wait for one message."""

from __future__ import annotations

from .executors import SingleThreadedExecutor
from .task import Future


def wait_for_message(msg_type, node, topic, *, qos_profile=1, time_to_wait: float = -1):
    """(True, message), or (False, None) after `time_to_wait` seconds (negative: no limit).

    The node is served meanwhile, so it must not be in a spinning executor.
    """
    future = Future()
    subscription = node.create_subscription(
        msg_type, topic, lambda message: None if future.done() else future.set_result(message), qos_profile)
    executor, former = SingleThreadedExecutor(context=node.context), node.executor
    try:
        executor.add_node(node)
        executor.spin_until_future_complete(future, time_to_wait)
    finally:
        node.executor = former
        executor.shutdown()
        node.destroy_subscription(subscription)
    return (True, future.result()) if future.done() else (False, None)
