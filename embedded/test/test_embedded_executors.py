"""Executors, timers, clocks and signals."""

from __future__ import annotations

import signal
import threading
import time

import pytest
import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.task import Future
from rclpy.time import Time
from rosgraph_msgs.msg import Clock as ClockMsg
from std_msgs.msg import String


def test_timer_keeps_its_grid_when_calls_are_late(graph) -> None:
    calls = []

    def slow() -> None:
        calls.append(time.monotonic())
        if len(calls) == 2:
            time.sleep(0.07)  # over one call of the grid

    node = graph.node('clockwork')
    began = time.monotonic()
    node.create_timer(0.05, slow)
    assert graph(5, lambda: len(calls) >= 6)
    off_grid = [(call - began) % 0.05 for call in calls[3:]]
    assert sum(min(off, 0.05 - off) < 0.02 for off in off_grid) >= 2


def test_timer_can_be_cancelled_and_reset(graph) -> None:
    calls = []
    timer = graph.node('clockwork').create_timer(0.01, lambda: calls.append(1))
    assert graph(5, lambda: len(calls) == 2)
    timer.cancel()
    assert not graph(0.1, lambda: len(calls) > 2) and timer.is_canceled()
    timer.reset()
    assert graph(5, lambda: len(calls) == 3)


def test_waiting_does_not_poll(graph) -> None:
    graph.node('idle').create_timer(100.0, print)
    cpu = time.process_time()
    graph.executor.spin_once(timeout_sec=0.5)
    assert time.process_time() - cpu < 0.1


def test_exception_in_a_callback_leaves_through_spin(graph) -> None:
    def fail() -> None:
        raise ValueError('broken callback')

    graph.node('broken').create_timer(0.01, fail)
    with pytest.raises(ValueError, match='broken callback'):
        graph(5, lambda: False)


def test_coroutine_callback_waits_for_a_future_while_others_run(graph) -> None:
    node, gate, log = graph.node('waiting'), Future(), []

    async def wait() -> None:
        timer.cancel()
        log.append(await gate)

    timer = node.create_timer(0.01, wait, callback_group=MutuallyExclusiveCallbackGroup())
    node.create_timer(0.05, lambda: gate.done() or gate.set_result('through'),
                      callback_group=MutuallyExclusiveCallbackGroup())
    assert graph(5, lambda: log == ['through'])


def test_task_and_future_give_results_and_exceptions(graph) -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    task = graph.executor.create_task(add, 1, 2)
    assert graph(5, task.done) and task.result() == 3
    failed = Future()
    failed.set_exception(KeyError('x'))
    with pytest.raises(KeyError):
        failed.result()


def test_spin_until_future_complete_ends_at_its_timeout(graph) -> None:
    began = time.monotonic()
    rclpy.spin_until_future_complete(graph.node('patient'), Future(), graph.executor, timeout_sec=0.1)
    assert 0.09 < time.monotonic() - began < 2.0


def _overlap(group_class: type) -> int:
    """Most callbacks that ran at once in three threads."""
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    node, executor = rclpy.create_node('many', context=context), MultiThreadedExecutor(3, context=context)
    running, most, calls, lock = 0, 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most, calls
        with lock:
            running, calls = running + 1, calls + 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    group = group_class()
    for _ in range(3):
        node.create_timer(0.001, work, callback_group=group)
    executor.add_node(node)
    deadline = time.monotonic() + 5
    while calls < 12 and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    node.destroy_node()
    context.shutdown()
    assert calls >= 12
    return most


def test_mutually_exclusive_callbacks_never_overlap() -> None:
    assert _overlap(MutuallyExclusiveCallbackGroup) == 1


def test_reentrant_callbacks_overlap() -> None:
    assert _overlap(ReentrantCallbackGroup) > 1


def test_messages_for_a_busy_group_are_not_lost() -> None:
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    node, executor = rclpy.create_node('busy', context=context), MultiThreadedExecutor(2, context=context)
    heard = []
    node.create_subscription(String, 'chat', lambda message: (time.sleep(0.01), heard.append(message.data)), 50)
    publisher = node.create_publisher(String, 'chat', 50)
    executor.add_node(node)
    for number in range(20):
        publisher.publish(String(data=str(number)))
    deadline = time.monotonic() + 5
    while len(heard) < 20 and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    node.destroy_node()
    context.shutdown()
    assert heard == [str(number) for number in range(20)]


def test_client_call_from_another_thread_while_spinning(graph) -> None:
    from std_srvs.srv import Trigger

    node, answers = graph.node('both'), []
    node.create_service(Trigger, 'ask', lambda request, response: response)
    client = node.create_client(Trigger, 'ask')
    caller = threading.Thread(target=lambda: (client.wait_for_service(5), answers.append(
        client.call(Trigger.Request()))))
    caller.start()
    assert graph(5, lambda: bool(answers))
    caller.join(5)


def test_clock_follows_simulated_time(graph) -> None:
    node, calls = graph.node('simulated'), []
    assert not node.get_clock().ros_time_is_active
    node.create_timer(10.0, lambda: calls.append(node.get_clock().now().nanoseconds))
    node.set_parameters([Parameter('use_sim_time', Parameter.Type.BOOL, True)])
    assert node.get_clock().ros_time_is_active and node.get_clock().now().nanoseconds == 0
    publisher = node.create_publisher(ClockMsg, '/clock', 10)
    for second in (5, 11, 16, 22, 27):
        publisher.publish(ClockMsg(clock=Time(seconds=second).to_msg()))
        assert graph(5, lambda: node.get_clock().now().nanoseconds == second * 10**9)  # noqa: B023
        graph(0.05, lambda: False)
    assert [call // 10**9 for call in calls] == [16, 27]
    node.set_parameters([Parameter('use_sim_time', Parameter.Type.BOOL, False)])
    assert abs(node.get_clock().now().nanoseconds - time.time_ns()) < 10**9


def test_time_and_duration_arithmetic() -> None:
    first, second = Time(seconds=1), Time(seconds=3, nanoseconds=5)
    assert second - first == Duration(seconds=2, nanoseconds=5) and first + Duration(seconds=2) < second
    assert Time.from_msg(second.to_msg(), clock_type=ClockType.SYSTEM_TIME) == second
    with pytest.raises(TypeError, match='different clock types'):
        first - Time(seconds=1, clock_type=ClockType.ROS_TIME)
    steady = Clock(clock_type=ClockType.STEADY_TIME)
    assert steady.now() <= steady.now()


SPINNER = """
    import sys, rclpy
    from rclpy.executors import ExternalShutdownException
    rclpy.init()
    node = rclpy.create_node('spinner')
    try:
        print('ready')
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException) as end:
        print(type(end).__name__, rclpy.ok())
    node.destroy_node()
    rclpy.try_shutdown()
"""


@pytest.mark.parametrize(('number', 'ends'), [
    (signal.SIGINT, {'KeyboardInterrupt False', 'ExternalShutdownException False'}),
    (signal.SIGTERM, {'ExternalShutdownException False'})])
def test_signals_end_a_spin_that_waits(start, number: int, ends: set[str]) -> None:
    process = start(SPINNER)
    assert process.stdout.readline() == 'ready\n'
    time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(5) == 0
    assert process.stdout.read().strip() in ends


def test_spin_ends_when_another_thread_shuts_down(graph) -> None:
    threading.Timer(0.1, rclpy.shutdown).start()
    with pytest.raises(ExternalShutdownException):
        rclpy.spin(graph.node('spinning'), graph.executor)


def test_logging_filters_levels_and_format(capfd) -> None:
    from rclpy.logging import LoggingSeverity, get_logger, set_logger_level

    logger = get_logger('some.node')
    for _ in range(3):
        logger.info('once', once=True)
        logger.warning('seldom', throttle_duration_sec=100.0)
        logger.error('later', skip_first=True)
    logger.debug('hidden')
    set_logger_level('some', LoggingSeverity.DEBUG)
    logger.get_child('part').debug('shown')
    set_logger_level('some', LoggingSeverity.INFO)
    lines = capfd.readouterr().err.splitlines()
    assert [line.rsplit(': ')[1] for line in lines] == ['once', 'seldom', 'later', 'later', 'shown']
    assert lines[-1].startswith('[DEBUG] [') and '[some.node.part]: shown' in lines[-1]
    with pytest.raises(TypeError, match='trottle'):
        logger.info('misspelt', trottle_duration_sec=1.0)
