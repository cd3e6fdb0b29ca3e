"""Action servers: goals that take time, report feedback and can be cancelled."""

from __future__ import annotations

import threading
import time
import traceback
from enum import Enum

from action_msgs.msg import GoalInfo, GoalStatus, GoalStatusArray
from action_msgs.srv import CancelGoal

from .._rclpy_pybind11 import RCLError
from ..executors import await_or_execute
from ..qos import QoSProfile, qos_profile_action_status_default, qos_profile_services_default
from ..task import Future

_ACTIVE = (GoalStatus.STATUS_ACCEPTED, GoalStatus.STATUS_EXECUTING, GoalStatus.STATUS_CANCELING)


class GoalResponse(Enum):
    """Answer to a new goal."""

    REJECT = 1
    ACCEPT = 2


class CancelResponse(Enum):
    """Answer to a wish to cancel."""

    REJECT = 1
    ACCEPT = 2


class ServerGoalHandle:
    """A goal on the server's side."""

    def __init__(self, action_server, goal_info, goal_request):
        self._action_server, self._goal_info, self._goal_request = action_server, goal_info, goal_request
        self._status, self._lock, self._ended_s = GoalStatus.STATUS_ACCEPTED, threading.Lock(), None

    def __eq__(self, other):
        return isinstance(other, ServerGoalHandle) and self.goal_id == other.goal_id

    def __hash__(self):
        return hash(bytes(self.goal_id.uuid))

    @property
    def request(self):
        """The goal."""
        return self._goal_request

    @property
    def goal_id(self):
        """Its UUID."""
        return self._goal_info.goal_id

    @property
    def is_active(self):
        """Whether it has not ended."""
        return self._status in _ACTIVE

    @property
    def is_cancel_requested(self):
        """Whether the execute callback should stop."""
        return self._status == GoalStatus.STATUS_CANCELING

    @property
    def status(self):
        """One of the GoalStatus constants."""
        return self._status

    def _go(self, goal, allowed):
        with self._lock:
            if self._status not in allowed:
                raise RCLError(f'Failed to update goal state: invalid transition from {self._status} to {goal}')
            self._status = goal
            if goal not in _ACTIVE:
                self._ended_s = time.monotonic()
        self._action_server._publish_status()

    def execute(self, execute_callback=None):
        """Begin; a goal that is to be cancelled begins too, and sees `is_cancel_requested`."""
        if not self.is_cancel_requested:
            self._go(GoalStatus.STATUS_EXECUTING, (GoalStatus.STATUS_ACCEPTED,))
        self._action_server.notify_execute(self, execute_callback)

    def publish_feedback(self, feedback):
        """Send feedback; raises TypeError for another type than FeedbackMessage's `feedback`."""
        server = self._action_server
        if not isinstance(feedback, server.action_type.Feedback):
            raise TypeError()
        server._feedback_publisher.publish(
            server.action_type.Impl.FeedbackMessage(goal_id=self.goal_id, feedback=feedback))

    def succeed(self):
        """End with success; the result is what the execute callback returns."""
        self._go(GoalStatus.STATUS_SUCCEEDED, (GoalStatus.STATUS_EXECUTING, GoalStatus.STATUS_CANCELING))

    def abort(self):
        """End without success."""
        self._go(GoalStatus.STATUS_ABORTED, (GoalStatus.STATUS_EXECUTING, GoalStatus.STATUS_CANCELING))

    def canceled(self):
        """End as cancelled."""
        self._go(GoalStatus.STATUS_CANCELED, (GoalStatus.STATUS_CANCELING,))

    def destroy(self):
        """Forget it."""
        self._action_server._forget(self)


def default_handle_accepted_callback(goal_handle):
    """Execute at once."""
    goal_handle.execute()


def default_goal_callback(goal_request):
    """Accept every goal."""
    return GoalResponse.ACCEPT


def default_cancel_callback(cancel_request):
    """Refuse to cancel."""
    return CancelResponse.REJECT


class ActionServer:
    """Serves an action; `execute_callback(goal_handle)` returns the result."""

    def __init__(self, node, action_type, action_name, execute_callback, *, callback_group=None,
                 goal_callback=default_goal_callback, handle_accepted_callback=default_handle_accepted_callback,
                 cancel_callback=default_cancel_callback, goal_service_qos_profile=qos_profile_services_default,
                 result_service_qos_profile=qos_profile_services_default,
                 cancel_service_qos_profile=qos_profile_services_default,
                 feedback_pub_qos_profile=QoSProfile(depth=10),  # noqa: B008  (a constant, as in rclpy)
                 status_pub_qos_profile=qos_profile_action_status_default, result_timeout=900):
        self._node, self._action_type, self._result_timeout_s = node, action_type, result_timeout
        self._goals, self._results, self._lock = {}, {}, threading.RLock()
        self.register_handle_accepted_callback(handle_accepted_callback)
        self.register_goal_callback(goal_callback)
        self.register_cancel_callback(cancel_callback)
        self.register_execute_callback(execute_callback)
        impl, prefix = action_type.Impl, f'{action_name}/_action'
        self._feedback_publisher = node.create_publisher(
            impl.FeedbackMessage, f'{prefix}/feedback', feedback_pub_qos_profile, callback_group=callback_group)
        self._status_publisher = node.create_publisher(
            GoalStatusArray, f'{prefix}/status', status_pub_qos_profile, callback_group=callback_group)
        self._services = []
        for type_, name, callback, qos in (
                (impl.SendGoalService, 'send_goal', self._serve_goal, goal_service_qos_profile),
                (CancelGoal, 'cancel_goal', self._serve_cancel, cancel_service_qos_profile),
                (impl.GetResultService, 'get_result', self._serve_result, result_service_qos_profile)):
            service = node.create_service(type_, f'{prefix}/{name}', callback, qos_profile=qos,
                                          callback_group=callback_group)
            self._services.append(service)
        self._result_service = self._services[-1]
        self._result_service._deferred = True

    @property
    def action_type(self):
        """The action class."""
        return self._action_type

    def register_handle_accepted_callback(self, handle_accepted_callback):
        """Call with each accepted goal; None: execute at once."""
        self._handle_accepted_callback = handle_accepted_callback or default_handle_accepted_callback

    def register_goal_callback(self, goal_callback):
        """Ask whether to accept a goal; None: always."""
        self._goal_callback = goal_callback or default_goal_callback

    def register_cancel_callback(self, cancel_callback):
        """Ask whether to cancel a goal; None: never."""
        self._cancel_callback = cancel_callback or default_cancel_callback

    def register_execute_callback(self, execute_callback):
        """Call to work on a goal; raises TypeError when it cannot be called."""
        if not callable(execute_callback):
            raise TypeError('Failed to register goal execution callback: not callable')
        self._execute_callback = execute_callback

    async def _serve_goal(self, request, response):
        key = bytes(request.goal_id.uuid)
        self._purge()
        if key in self._goals:
            self._node.get_logger().error('New goal is a duplicate, rejecting')
            return response
        accepted = await await_or_execute(self._goal_callback, request.goal)
        if not isinstance(accepted, GoalResponse):
            self._node.get_logger().warning('Goal request callback did not return a GoalResponse type. Rejecting.')
        response.accepted = accepted is GoalResponse.ACCEPT
        if response.accepted:
            response.stamp = self._node.get_clock().now().to_msg()
            handle = ServerGoalHandle(self, GoalInfo(goal_id=request.goal_id, stamp=response.stamp), request.goal)
            with self._lock:
                self._goals[key], self._results[key] = handle, Future()
            self._publish_status()
            # After the answer, so that a short goal does not end before its client knows it.
            self._node.executor.create_task(self._handle_accepted_callback, handle)
        return response

    async def _serve_cancel(self, request, response):
        info = request.goal_info
        key, any_goal = bytes(info.goal_id.uuid), not any(info.goal_id.uuid)
        before = (info.stamp.sec, info.stamp.nanosec)
        if not any_goal and key not in self._goals:
            response.return_code = CancelGoal.Response.ERROR_UNKNOWN_GOAL_ID
            return response
        if not any_goal and before == (0, 0) and not self._goals[key].is_active:
            response.return_code = CancelGoal.Response.ERROR_GOAL_TERMINATED
            return response
        with self._lock:
            handles = [handle for id_, handle in self._goals.items() if handle.is_active and (
                id_ == key or (any_goal and before == (0, 0)) or
                (before != (0, 0) and _stamp(handle) <= before))]
        for handle in handles:
            answer = await await_or_execute(self._cancel_callback, handle)
            if answer is CancelResponse.ACCEPT and handle.is_active:
                if not handle.is_cancel_requested:
                    handle._go(GoalStatus.STATUS_CANCELING, _ACTIVE)
                response.goals_canceling.append(handle._goal_info)
        if not response.goals_canceling:
            response.return_code = CancelGoal.Response.ERROR_REJECTED
        return response

    def _serve_result(self, request, header):
        future = self._results.get(bytes(request.goal_id.uuid))
        if future is None:
            unknown = self._action_type.Impl.GetResultService.Response(status=GoalStatus.STATUS_UNKNOWN)
            self._result_service.send_response(unknown, header)
        else:
            future.add_done_callback(lambda done: self._result_service.send_response(done.result(), header))

    def notify_execute(self, goal_handle, execute_callback):
        """Have the executor work on a goal."""
        self._node.executor.create_task(self._execute, execute_callback or self._execute_callback, goal_handle)

    async def _execute(self, callback, goal_handle):
        logger, result_type = self._node.get_logger(), self._action_type.Result
        try:
            result = await await_or_execute(callback, goal_handle)
        except Exception as error:  # the goal fails, the server lives on
            logger.error(f'Error raised in execute callback: {error}')
            traceback.print_exc()
            result = None
        if goal_handle.is_active:
            logger.warning('Goal state not set, assuming aborted.')
            goal_handle.abort()
        if result is not None and not isinstance(result, result_type):
            logger.error(f'Execute callback returned {type(result)}, not {result_type}; an empty result is sent')
        response = self._action_type.Impl.GetResultService.Response(
            status=goal_handle.status, result=result if isinstance(result, result_type) else result_type())
        future = self._results.get(bytes(goal_handle.goal_id.uuid))
        if future is not None:
            future.set_result(response)

    def _publish_status(self):
        with self._lock:
            states = [GoalStatus(goal_info=handle._goal_info, status=handle.status)
                      for handle in self._goals.values()]
        if self._node.context.ok():
            self._status_publisher.publish(GoalStatusArray(status_list=states))

    def notify_goal_done(self):
        """Forget goals that ended longer ago than results are kept."""
        self._purge()

    def _purge(self):
        with self._lock:
            limit = time.monotonic() - self._result_timeout_s
            for handle in [h for h in self._goals.values() if h._ended_s is not None and h._ended_s < limit]:
                self._forget(handle)

    def _forget(self, handle):
        with self._lock:
            self._goals.pop(bytes(handle.goal_id.uuid), None)
            self._results.pop(bytes(handle.goal_id.uuid), None)

    def destroy(self):
        """Free it."""
        for service in self._services:
            self._node.destroy_service(service)
        self._node.destroy_publisher(self._feedback_publisher)
        self._node.destroy_publisher(self._status_publisher)


def _stamp(handle):
    return handle._goal_info.stamp.sec, handle._goal_info.stamp.nanosec
