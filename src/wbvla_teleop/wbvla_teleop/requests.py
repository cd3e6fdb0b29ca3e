"""What the operator's buttons ask of other nodes: authority and emergency stop of the driver, episodes of the recorder.

The control thread only notes them down; the executor's thread sends them at once and logs the answers.
"""

from __future__ import annotations

from collections import deque

from rclpy.node import Node
from wbvla_core.types import Source

from wbvla_msgs.srv import DiscardEpisode, EStop, SetAuthority, StartEpisode, StopEpisode
from wbvla_teleop.frame import EPISODE_DISCARD, EPISODE_FAIL, EPISODE_START, EPISODE_STOP, ESTOP


class Requests:
    """Clients of the services; ``task`` is the sentence of the next episode, ``episode`` the one being recorded."""

    def __init__(self, node: Node, task: str, operator_name: str) -> None:
        self._node = node
        self.task, self._operator_name = task, operator_name
        self.episode = ""
        self._waiting: deque[tuple[str, object]] = deque()
        self._bell = node.create_guard_condition(self._send)
        self._clients = {
            name: node.create_client(kind, name)
            for name, kind in (
                ("set_authority", SetAuthority),
                ("estop", EStop),
                ("start_episode", StartEpisode),
                ("stop_episode", StopEpisode),
                ("discard_episode", DiscardEpisode),
            )
        }

    def press(self, pressed: tuple[str, ...], authority: Source | None) -> None:
        """Buttons that went down just now, and whom the authority is asked for."""
        for button in pressed:
            if button == ESTOP:
                self._ask("estop", EStop.Request(reason="teleoperator's button"))
            elif button == EPISODE_START:
                if not self.task:
                    self._node.get_logger().error(
                        "no episode without its sentence: publish it on instruction or set the parameter task"
                    )
                    continue
                request = StartEpisode.Request(task=self.task, operator_name=self._operator_name)
                self._ask("start_episode", request)
            elif button in (EPISODE_STOP, EPISODE_FAIL):
                self._ask("stop_episode", StopEpisode.Request(task_succeeded=button == EPISODE_STOP))
            elif button == EPISODE_DISCARD:
                self._ask("discard_episode", DiscardEpisode.Request(reason="teleoperator's button"))
        if authority is not None:
            self._ask("set_authority", SetAuthority.Request(source=int(authority)))

    def close(self) -> None:
        """Give the clients back."""
        self._node.destroy_guard_condition(self._bell)
        for client in self._clients.values():
            self._node.destroy_client(client)
        self._clients = {}

    def _ask(self, name: str, request: object) -> None:
        self._waiting.append((name, request))
        self._bell.trigger()

    def _send(self) -> None:
        while self._waiting:
            name, request = self._waiting.popleft()
            client = self._clients.get(name)
            if client is None or not client.service_is_ready():
                self._node.get_logger().error(f"service {name} is not there; is its node running?")
                continue
            client.call_async(request).add_done_callback(
                lambda future, name=name, request=request: self._answered(name, request, future)
            )

    def _answered(self, name: str, request, future) -> None:
        response = future.result()
        if response is None:
            return
        text = response.message or ("done" if response.success else "refused")
        if name in ("start_episode", "stop_episode", "discard_episode") and response.success:
            self.episode = response.episode if name == "start_episode" else ""
            what = f"begun, '{request.task}'" if name == "start_episode" else text
            text = f"{getattr(response, 'episode', '')} {what}".strip()
        if response.success:
            self._node.get_logger().info(f"{name}: {text}")
        else:
            self._node.get_logger().error(f"{name}: {text}")
