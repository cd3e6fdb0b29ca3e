"""The recorder on a running graph: what it writes, its services, and its end by signal and by SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rosbags.highlevel import AnyReader
from std_msgs.msg import String
from wbvla_core.contract import Contract
from wbvla_teleop.recorder import PARAMETERS, Recorder
from wbvla_teleop.recorder_types import EpisodeState

from wbvla_msgs import msg, srv
from wbvla_ros import conversions, qos

PARAMETER_FILE = Path(__file__).resolve().parents[2] / "wbvla_bringup" / "params" / "x2.yaml"
SENTENCE = "touch the red ball"


class Source:
    """Publishes commands at 50 Hz and one latched sentence."""

    def __init__(self):
        self.node = rclpy.create_node("source", namespace="/wbvla")
        self.sent, self.statuses = [], []
        self._loco = self.node.create_publisher(msg.LocoCommand, "loco_command", qos.COMMAND)
        self._sentence = self.node.create_publisher(String, "instruction", qos.LATCHED)
        self._sentence.publish(String(data=SENTENCE))
        self.node.create_subscription(msg.EpisodeStatus, "episode_status", self.statuses.append, qos.STATUS)
        self.node.create_timer(0.02, self._tick)

    @property
    def heard(self) -> bool:
        return self._loco.get_subscription_count() > 0

    def _tick(self):
        if not self.heard:
            return
        message = msg.LocoCommand(sequence=len(self.sent) + 1, height=0.6)
        now_ns = self.node.get_clock().now().nanoseconds
        message.header.stamp = conversions.to_time(now_ns)
        self._loco.publish(message)
        self.sent.append(now_ns)


@pytest.fixture
def graph():
    """A source that spins in a thread, and a place to add nodes to."""
    if "CYCLONEDDS_URI" not in os.environ:
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    domain = 60 + os.getpid() % 40
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    rclpy.init(domain_id=domain)
    executor, source = SingleThreadedExecutor(), Source()
    executor.add_node(source.node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield source, executor
    executor.shutdown(timeout_sec=5.0)
    thread.join(5.0)
    source.node.destroy_node()
    rclpy.try_shutdown()


def wait_for(condition, what: str, timeout_s: float = 20.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)


def recorder(executor, folder, **values) -> Recorder:
    values = {"bag_dir": str(folder), "min_free_mb": 1, **values}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = Recorder(namespace="/wbvla", parameter_overrides=overrides)
    node.trigger_configure()
    executor.add_node(node)
    return node


def call(source, kind, name, request):
    client = source.node.create_client(kind, name)
    assert client.wait_for_service(timeout_sec=10.0)
    future = client.call_async(request)
    wait_for(future.done, name)
    source.node.destroy_client(client)
    return future.result()


def commands_in(bag: Path) -> list:
    with AnyReader([bag]) as reader:
        return [
            reader.deserialize(data, connection.msgtype)
            for connection, _, data in reader.messages()
            if connection.topic == "/wbvla/loco_command"
        ]


def test_episode_by_services_holds_what_was_published_and_the_latched_sentence(graph, tmp_path):
    source, executor = graph
    node = recorder(executor, tmp_path)
    refused = call(source, srv.StartEpisode, "start_episode", srv.StartEpisode.Request(task="a"))
    assert not refused.success and "not active" in refused.message
    node.trigger_activate()
    wait_for(lambda: source.heard, "discovery")
    started = call(
        source, srv.StartEpisode, "start_episode", srv.StartEpisode.Request(task="a", operator_name="b")
    )
    assert started.success
    begin = len(source.sent)
    wait_for(lambda: len(source.sent) > begin + 75, "75 messages")
    wait_for(
        lambda: any(s.state == EpisodeState.RECORDING and s.messages for s in source.statuses), "a status"
    )
    stopped = call(
        source, srv.StopEpisode, "stop_episode", srv.StopEpisode.Request(task_succeeded=True, note="n")
    )
    assert stopped.success and stopped.episode == started.episode
    commands = commands_in(tmp_path / started.episode)
    sequences = [command.sequence for command in commands]
    assert len(sequences) >= 75 and sequences == list(range(sequences[0], sequences[-1] + 1))
    with AnyReader([tmp_path / started.episode]) as reader:
        words = [
            reader.deserialize(d, c.msgtype).data for c, _, d in reader.messages() if "String" in c.msgtype
        ]
        topics = {connection.topic for connection in reader.connections}
    assert words == [SENTENCE]
    assert {f"/wbvla/{t.topic}" for t in Contract.load("x2").recorded(True) if t.topic[0] != "/"} <= topics
    discard = call(source, srv.DiscardEpisode, "discard_episode", srv.DiscardEpisode.Request(reason="dark"))
    assert discard.success
    story = yaml.safe_load((tmp_path / started.episode / "episode.yaml").read_text())
    assert story["outcome"]["discard_reason"] == "dark" and story["outcome"]["task_succeeded"] == "true"
    assert story["dropped"] == 0
    again = call(source, srv.StopEpisode, "stop_episode", srv.StopEpisode.Request())
    assert not again.success and "start one first" in again.message
    node.leave()


def test_recording_from_activation_ends_whole_when_the_node_leaves(graph, tmp_path):
    source, executor = graph
    node = recorder(executor, tmp_path, autostart_episode=True, task="stand", episode_name="run")
    node.trigger_activate()
    wait_for(lambda: source.heard and len(source.sent) > 30, "messages")
    node.leave()
    commands = commands_in(tmp_path / "run")
    assert len(commands) >= 5
    sequences = [command.sequence for command in commands]
    assert sequences == list(range(sequences[0], sequences[-1] + 1)), "no message in between is missing"
    story = yaml.safe_load((tmp_path / "run" / "episode.yaml").read_text())
    assert (story["state"], story["task"]) == ("finished", "stand")


def test_wrong_contract_is_refused_with_its_reason(graph, tmp_path):
    _, executor = graph
    path = tmp_path / "bad.yaml"
    text = Contract.load("x2").text.replace("wbvla_msgs/msg/RobotState", "nowhere_msgs/msg/Thing")
    path.write_text(text)
    node = recorder(executor, tmp_path, contract=str(path))
    assert node.refused and "nowhere_msgs/msg/Thing" in node.refused


def start_process(folder: Path) -> subprocess.Popen:
    code = "import sys; from wbvla_teleop.recorder import main; sys.exit(main())"
    values = {"autostart": "true", "autostart_episode": "true", "bag_dir": str(folder), "min_free_mb": "1"}
    arguments = [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]
    return subprocess.Popen([sys.executable, "-c", code, "--ros-args", "-r", "__ns:=/wbvla", *arguments])


def test_killed_recorder_loses_at_most_a_second_and_the_next_one_makes_the_bag_whole(graph, tmp_path):
    source, _ = graph
    process = start_process(tmp_path)
    wait_for(lambda: len(source.sent) > 150, "three seconds of messages", 40.0)
    process.kill()
    process.wait()
    killed_ns = time.time_ns()
    (bag,) = (path for path in tmp_path.iterdir() if path.is_dir())
    process = start_process(tmp_path)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2, "the next episode", 30.0)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    last = commands_in(bag)[-1]
    published = [stamp for stamp in source.sent if stamp < killed_ns]
    assert published[-1] - conversions.to_ns(last.header.stamp) < 1_000_000_000
    for episode in tmp_path.iterdir():
        with AnyReader([episode]) as reader:
            assert reader.message_count == sum(1 for _ in reader.messages()) > 0


def test_parameter_file_lists_every_parameter_with_its_default():
    listed = yaml.safe_load(PARAMETER_FILE.read_text())["/**/recorder"]["ros__parameters"]
    declared = {name: default for name, (default, _) in PARAMETERS.items()}
    assert {name: value for name, value in listed.items() if name != "autostart"} == declared
