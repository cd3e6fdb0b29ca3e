"""A visitor of the browser view, by HTTP and websocket: gets the scene, then only what moves, and is heard."""

import time
import urllib.request

import msgspec
import mujoco
import pytest
import viser
import zstandard
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.view.browser import BODY, SceneView, address, open_server
from wbvla_sim.view.panel import Panel, Wishes
from wbvla_sim.world import build_world
from websockets.sync.client import connect

PATIENCE_S = 10.0
CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": (1.0, 0.0, 0.0, 0.0), "position": (0.0, 0.0, 1.0), "fov": 1.0, "near": 0.1,
    "far": 100.0, "image_height": 480, "image_width": 640, "look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, 0.0, 1.0),
}  # fmt: skip


class Visitor:
    """Speaks the page's side of the wire: frames of compressed messages in, single messages out."""

    def __init__(self, server):
        url = address(server).replace("http", "ws")
        self._socket = connect(url, subprotocols=[f"viser-v{viser.__version__}"], max_size=None)
        self.messages = []
        # A page counts as visitor once it has said where it looks from.
        self._socket.send(msgspec.msgpack.encode(CAMERA))

    def read(self, seconds=0.3):
        """Messages of the next while; whatever came is kept, too."""
        new, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                frame = self._socket.recv(timeout=left)
            except TimeoutError:
                break
            size = int.from_bytes(frame[8:16], "little")
            new += msgspec.msgpack.decode(zstandard.decompress(frame[16 : 16 + size]))["messages"]
        self.messages += new
        return new

    def until(self, wanted):
        """The first message that ``wanted`` accepts."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = next((m for m in self.messages if wanted(m)), None)
            if found is not None:
                return found
            self.read(0.1)
        raise AssertionError("the message did not come")

    def component(self, label):
        return self.until(lambda m: m.get("props", {}).get("label") == label)["uuid"]

    def set(self, label, value):
        message = {"type": "GuiUpdateMessage", "uuid": self.component(label), "updates": {"value": value}}
        self._socket.send(msgspec.msgpack.encode(message))

    def close(self):
        self._socket.close()


@pytest.fixture
def server():
    server = open_server("127.0.0.1", 18080)
    yield server
    server.stop()


@pytest.fixture
def visit(server):
    visitors = []

    def come():
        visitors.append(Visitor(server))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.close()


def poses(messages):
    return {m["name"] for m in messages if m["type"] in ("SetPositionMessage", "SetOrientationMessage")}


def test_the_page_is_there(server):
    with urllib.request.urlopen(address(server), timeout=PATIENCE_S) as page:
        assert page.status == 200 and b"<html" in page.read().lower()


def test_a_visitor_gets_the_scene_once_and_then_only_what_moves(server, visit):
    model = build_world(RobotSpec.load("x2_ultra"), "box_cart", 1).model
    model.tendon_rgba[:, 3] = 0.0
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    scene = SceneView(server)
    scene.follow(model, data)
    visitor = visit()
    box = f"{BODY}/{model.body('box').id}"
    visitor.until(lambda m: m.get("name") == box)
    visitor.read()
    drawn = {m["name"] for m in visitor.messages if m["type"] == "MeshMessage"}
    bodies = {name.rsplit("/", 1)[0] for name in drawn}
    assert box in bodies and f"{BODY}/{model.body('pelvis').id}" in bodies and len(drawn) > 40
    scene.follow(model, data)
    assert poses(visitor.read()) == set()
    data.joint("box_joint").qpos[0] += 0.1
    mujoco.mj_kinematics(model, data)
    scene.follow(model, data)
    assert poses(visitor.read()) == {box}


def test_a_typed_sentence_is_handed_on_and_answered_and_stops_do_not_wait(server, visit):
    said = []

    def say(sentence):
        said.append(sentence)
        while "estop" not in said:
            time.sleep(0.01)
        return f"told: {sentence}"

    def estop():
        said.append("estop")
        return "emergency stop"

    panel = Panel(server, Wishes(say, lambda: "stopped", estop, lambda: said.append("anew") or "anew"))
    panel.offer(("push the cart", "load the box"))
    visitor = visit()
    end = time.monotonic() + PATIENCE_S
    while not server.get_clients() and time.monotonic() < end:
        time.sleep(0.01)
    visitor.set("say", "  make coffee ")
    visitor.set("Do it", True)
    while not said and time.monotonic() < end:
        time.sleep(0.01)
    assert said == ["make coffee"]
    visitor.set("New scene", True)
    visitor.until(lambda m: "one thing at a time" in str(m))
    visitor.set("Emergency stop", True)
    visitor.until(lambda m: "told: make coffee" in str(m))
    assert said == ["make coffee", "estop"]
