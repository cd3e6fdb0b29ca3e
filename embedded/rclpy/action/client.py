"""Action clients."""

from __future__ import annotations

import threading
import time
import uuid
import weakref
from typing import Any

from action_msgs.msg import GoalInfo, GoalStatus, GoalStatusArray
from action_msgs.srv import CancelGoal
from unique_identifier_msgs.msg import UUID
from wbvla_embedded.dds import matched

from ..qos import QoSProfile, qos_profile_action_status_default, qos_profile_services_default
from ..task import Future


class ClientGoalHandle:
    """A goal on the client's side."""

    def __init__(self, action_client, goal_id, goal_response):
        self._action_client, self._goal_id, self._goal_response = action_client, goal_id, goal_response
        self._status = GoalStatus.STATUS_UNKNOWN

    def __eq__(self, other):
        return isinstance(other, ClientGoalHandle) and self._goal_id == other._goal_id

    def __hash__(self):
        return hash(bytes(self._goal_id.uuid))

    @property
    def goal_id(self):
        """The UUID."""
        return self._goal_id

    @property
    def stamp(self):
        """When the server accepted it."""
        return self._goal_response.stamp

    @property
    def accepted(self):
        """Whether the server accepted it."""
        return self._goal_response.accepted

    @property
    def status(self):
        """The last status that was heard of."""
        return self._status

    def cancel_goal(self):
        """Ask to cancel and wait for the answer; an executor must spin in another thread."""
        return _wait(self.cancel_goal_async())

    def cancel_goal_async(self):
        """Ask to cancel; a Future of the answer."""
        request = CancelGoal.Request(goal_info=GoalInfo(goal_id=self._goal_id))
        return self._action_client._cancel_client.call_async(request)

    def get_result(self):
        """Wait for the result; an executor must spin in another thread."""
        return _wait(self.get_result_async())

    def get_result_async(self):
        """A Future of the response with `status` and `result`."""
        client = self._action_client
        future = client._result_client.call_async(
            client._action_type.Impl.GetResultService.Request(goal_id=self._goal_id))

        def note(done):
            if not done.cancelled() and done.exception() is None:
                self._status = done.result().status

        future.add_done_callback(note)
        return future


class ActionClient:
    """Sends goals of one action."""

    def __init__(self, node, action_type, action_name, *, callback_group=None,
                 goal_service_qos_profile=qos_profile_services_default,
                 result_service_qos_profile=qos_profile_services_default,
                 cancel_service_qos_profile=qos_profile_services_default,
                 feedback_sub_qos_profile=QoSProfile(depth=10),  # noqa: B008  (a constant, as in rclpy)
                 status_sub_qos_profile=qos_profile_action_status_default):
        self._node, self._action_type, self._action_name = node, action_type, action_name
        self._feedback_callbacks, self._handles = {}, weakref.WeakValueDictionary()
        impl, prefix = action_type.Impl, f'{action_name}/_action'
        self._goal_client, self._cancel_client, self._result_client = (
            node.create_client(type_, f'{prefix}/{name}', qos_profile=qos, callback_group=callback_group)
            for type_, name, qos in ((impl.SendGoalService, 'send_goal', goal_service_qos_profile),
                                     (CancelGoal, 'cancel_goal', cancel_service_qos_profile),
                                     (impl.GetResultService, 'get_result', result_service_qos_profile)))
        self._feedback_subscription = node.create_subscription(
            impl.FeedbackMessage, f'{prefix}/feedback', self._on_feedback, feedback_sub_qos_profile,
            callback_group=callback_group)
        self._status_subscription = node.create_subscription(
            GoalStatusArray, f'{prefix}/status', self._on_status, status_sub_qos_profile,
            callback_group=callback_group)

    def _on_feedback(self, message):
        callback = self._feedback_callbacks.get(bytes(message.goal_id.uuid))
        if callback is not None:
            callback(message)

    def _on_status(self, message):
        for status in message.status_list:
            handle = self._handles.get(bytes(status.goal_info.goal_id.uuid))
            if handle is not None:
                handle._status = status.status
                if status.status in (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED,
                                     GoalStatus.STATUS_ABORTED):
                    self._feedback_callbacks.pop(bytes(status.goal_info.goal_id.uuid), None)

    def send_goal(self, goal, **kwargs):
        """Send a goal and wait for its result response; an executor must spin in another thread.

        The status of a rejected goal is STATUS_UNKNOWN.
        """
        return _wait(self.send_goal_async(goal, **kwargs)).get_result()

    def send_goal_async(self, goal, feedback_callback=None, goal_uuid=None):
        """Send a goal; a Future of its ClientGoalHandle. Raises TypeError for another type than the goal."""
        if not isinstance(goal, self._action_type.Goal):
            raise TypeError()
        goal_id = goal_uuid or UUID(uuid=list(uuid.uuid4().bytes))
        key, future = bytes(goal_id.uuid), Future()
        if feedback_callback is not None:
            self._feedback_callbacks[key] = feedback_callback

        def answered(response):
            if response.cancelled() or response.exception() is not None:
                self._feedback_callbacks.pop(key, None)
                future.cancel()
                return
            handle = ClientGoalHandle(self, goal_id, response.result())
            if handle.accepted:
                handle._status = GoalStatus.STATUS_ACCEPTED
                self._handles[key] = handle
            else:
                self._feedback_callbacks.pop(key, None)
            future.set_result(handle)

        request = self._action_type.Impl.SendGoalService.Request(goal_id=goal_id, goal=goal)
        self._goal_client.call_async(request).add_done_callback(answered)
        return future

    def server_is_ready(self):
        """Whether all parts of a server are there."""
        return all(client.service_is_ready() for client in (self._goal_client, self._cancel_client,
                                                             self._result_client)) and \
            all(matched(subscription.handle, 'publications')
                for subscription in (self._feedback_subscription, self._status_subscription))

    def wait_for_server(self, timeout_sec=None):
        """Wait until a server is there; False after the timeout (None: no limit) or at shutdown."""
        deadline = None if timeout_sec is None else time.monotonic() + timeout_sec
        while self._node.context.ok() and not self.server_is_ready():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return self._node.context.ok()

    def destroy(self):
        """Free it."""
        for client in (self._goal_client, self._cancel_client, self._result_client):
            self._node.destroy_client(client)
        for subscription in (self._feedback_subscription, self._status_subscription):
            self._node.destroy_subscription(subscription)


def _wait(future) -> Any:
    event = threading.Event()
    future.add_done_callback(lambda _: event.set())
    event.wait()
    return future.result()
