"""After the trials of a demo: whatever is asked of the robot is judged, until Ctrl-C."""

from __future__ import annotations

import queue

from rclpy.node import Node
from rich.console import Console
from std_msgs.msg import String
from wbvla_sim.tasks.base import Verdict, tasks_of
from wbvla_sim.tasks.graph_collect import Session
from wbvla_sim.tasks.graph_trial import VERDICT_TOPIC
from wbvla_sim.tasks.referee import Referee
from wbvla_teleop.devices.scripted import REST

from wbvla_ros import qos

LOOK_PERIOD_S = 0.005


class Announcer:
    """Tells everybody what the judge says."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(String, VERDICT_TOPIC, qos.LATCHED)

    def say(self, text: str) -> None:
        """The newest word stays for whoever comes later."""
        self._publisher.publish(String(data=text))


def judge_what_is_asked(session: Session, announcer: Announcer, console: Console) -> None:
    """Listen for sentences and judge those that a task of the present scene understands. Returns on Ctrl-C; raises
    GraphError when the graph ends."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    session.supervisor.node.create_subscription(
        String, "instruction", lambda message: heard.put(message.data), qos.LATCHED
    )
    sentence, shown = "", ""
    try:
        while True:
            session.graph.check()
            try:
                asked = heard.get(timeout=LOOK_PERIOD_S)
            except queue.Empty:
                asked = ""
            if asked == REST:
                sentence = ""
            elif asked:
                sentence = asked if get_ready(session.referee, asked) else ""
                shown = ""
                announcer.say(f"'{asked}' is judged" if sentence else f"'{asked}': nobody judges that")
            if not sentence:
                continue
            verdict = session.referee.look()
            if verdict is None:
                sentence = ""
                continue
            line = verdict_line(sentence, verdict)
            if line != shown:
                shown = line
                announcer.say(line)
                console.print(line)
            if verdict.over:
                sentence = ""
    except KeyboardInterrupt:
        return


def get_ready(referee: Referee, sentence: str) -> bool:
    """Have ``referee`` judge ``sentence`` in the scene that the plant shows; False when no task there means it."""
    scene = referee.scene()
    if scene is None:
        return False
    for task in tasks_of(scene[0]):
        try:
            referee.prepare(task, scene[1], sentence)
        except ValueError:
            continue
        return True
    return False


def verdict_line(sentence: str, verdict: Verdict) -> str:
    """What has been reached so far, in one line."""
    met = [name for name, reached in verdict.subgoals.items() if reached]
    parts = ", ".join(met) if met else "nothing yet"
    if not verdict.over:
        return f"'{sentence}': {parts}"
    end = "done" if verdict.success else f"failed, {verdict.reason}"
    return f"'{sentence}': {end} after {verdict.time_s:.1f} s ({parts})"
