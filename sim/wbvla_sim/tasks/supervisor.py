"""Whoever runs trials on the graph: stands the robot up, tells the sentence, starts and ends episodes. It commands no
joint: that is the teleoperation node's or the VLA's business."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from std_msgs.msg import String
from wbvla_core.types import Reason, State
from wbvla_ros.conversions import to_ns

from wbvla_msgs import msg, srv
from wbvla_ros import qos
from wbvla_sim.script import Change, ScriptError

SERVICE_TIMEOUT_S = 5.0
SERVICES = {
    "set_authority": srv.SetAuthority,
    "estop": srv.EStop,
    "release": srv.Release,
    "start_episode": srv.StartEpisode,
    "stop_episode": srv.StopEpisode,
    "discard_episode": srv.DiscardEpisode,
    "sim/gantry": srv.SimGantry,
    "sim/push": srv.SimPush,
    "sim/reset": srv.SimReset,
}
_IDLE = (State.UNCONFIGURED, State.INACTIVE)


class Supervisor:
    """A node with a thread of its own; calls block until done and raise ScriptError when they fail."""

    def __init__(
        self, namespace: str, alive: Callable[[], None] = lambda: None, name: str = "supervisor"
    ) -> None:
        """``alive`` is called while waiting; it raises when the graph is gone."""
        self.node = rclpy.create_node(name, namespace=namespace)
        self._alive = alive
        self.statuses: dict[str, msg.Status] = {}
        self.changes: list[Change] = []
        """Of the driver's state or reason, in order."""
        self.sim: msg.SimState | None = None
        self._failure: Exception | None = None
        self.episode = msg.EpisodeStatus()
        self._instruction = self.node.create_publisher(String, "instruction", qos.LATCHED)
        self._clients = {name: self.node.create_client(kind, name) for name, kind in SERVICES.items()}
        self.node.create_subscription(msg.Status, "status", self._on_status, qos.STATUS)
        self.node.create_subscription(msg.SimState, "sim/state", self._on_sim, qos.TOOLS)
        self.node.create_subscription(msg.EpisodeStatus, "episode_status", self._on_episode, qos.STATUS)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join(timeout=2.0)
        self.node.destroy_node()

    @property
    def driver(self) -> State:
        """State of the robot by the driver. Raises ScriptError as :meth:`wait_for` does when nothing is heard any
        more."""
        self._check()
        status = self.statuses.get("driver")
        return State.UNCONFIGURED if status is None else State(status.state)

    def call(self, name: str, **fields):
        """Call a service of :data:`SERVICES`; returns its response."""
        client = self._clients[name]
        if not client.wait_for_service(timeout_sec=SERVICE_TIMEOUT_S):
            raise ScriptError(f"service {name} does not exist")
        future = client.call_async(SERVICES[name].Request(**fields))
        self.wait_for(f"service {name} to answer", future.done, SERVICE_TIMEOUT_S)
        response = future.result()
        if not response.success:
            raise ScriptError(f"service {name} refused: {response.message}")
        return response

    def instruct(self, sentence: str) -> None:
        """Tell everybody what to do."""
        self._instruction.publish(String(data=sentence))

    def wait_for(self, what: str, condition: Callable[[], bool], timeout_s: float) -> None:
        """Poll ``condition``; raises ScriptError after ``timeout_s``, or when a message could not be understood."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._check()
            if condition():
                return
            self._alive()
            if time.monotonic() > deadline_s:
                status = self.statuses.get("driver")
                seen = "silent" if status is None else f"{State(status.state).name} ({status.detail})"
                raise ScriptError(f"waited {timeout_s:g} s for {what}; the driver is {seen}")
            time.sleep(0.005)

    def wait_for_nodes(self, names: tuple[str, ...], timeout_s: float = 60.0) -> None:
        """Until all these nodes are active."""
        for name in names:
            self.wait_for(
                f"{name} to be active",
                lambda name=name: name in self.statuses and State(self.statuses[name].state) not in _IDLE,
                timeout_s,
            )

    def wait_for_episode(self, *states: int, timeout_s: float = 5.0) -> str:
        """Until the recorder says one of ``states`` (of EpisodeStatus); the episode's name."""
        self.wait_for("the recorder to follow", lambda: self.episode.state in states, timeout_s)
        return self.episode.episode

    def wait_for_state(self, *states: State, timeout_s: float = 10.0) -> None:
        """Until the robot is in one of ``states``."""
        names = " or ".join(state.name for state in states)
        self.wait_for(f"the driver to be {names}", lambda: self.driver in states, timeout_s)

    def _check(self) -> None:
        if self._failure is not None:
            raise ScriptError(
                f"a message on the graph could not be understood ({self._failure}); are all nodes of one version?"
            ) from self._failure

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return
        except Exception as error:  # whatever a callback raised belongs to who waits for its effect
            self._failure = error

    def _on_status(self, status: msg.Status) -> None:
        state, reason = State(status.state), Reason(status.reason)
        self.statuses[status.node] = status
        if status.node != "driver":
            return
        last = self.changes[-1] if self.changes else None
        if last is None or (last.state, last.reason) != (state, reason):
            stamp_ns = to_ns(status.since) or to_ns(status.header.stamp)
            self.changes.append(Change(stamp_ns, state, reason, status.detail))

    def _on_episode(self, status: msg.EpisodeStatus) -> None:
        self.episode = status

    def _on_sim(self, state: msg.SimState) -> None:
        self.sim = state
