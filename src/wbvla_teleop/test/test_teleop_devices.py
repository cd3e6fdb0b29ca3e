"""Devices: what sticks, keys and recorded commands become, and that each may be lost without harm."""

from __future__ import annotations

import os
import pty
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from wbvla_core.types import ArmTarget, LocoCommand, LocoMode, RobotState, Source
from wbvla_teleop.bag import BagWriter
from wbvla_teleop.bag_metadata import TopicInfo
from wbvla_teleop.devices.base import DeviceError, Guarded
from wbvla_teleop.devices.joy import JoyDevice
from wbvla_teleop.devices.joystick import JoystickDevice
from wbvla_teleop.devices.keyboard import HELP, KeyboardDevice, KeyMapper
from wbvla_teleop.devices.layout import layout_names, load_layout
from wbvla_teleop.devices.pad import PadConfig, PadMapper
from wbvla_teleop.devices.replay import ReplayDevice
from wbvla_teleop.devices.scripted import REST, ObjectPose, ScriptedDevice, View
from wbvla_teleop.frame import EPISODE_START, ESTOP, TORSO, TeleopFrame

from wbvla_ros import conversions

sys.path.insert(0, str(Path(__file__).parent))
from teleop_samples import MS, SPEC, START_NS, STEP_NS, robot_state, whereabouts

PS5 = load_layout("ps5")


class Pad:
    """A gamepad in hands."""

    def __init__(self, layout=PS5, config: PadConfig | None = None) -> None:
        self.layout = layout
        self.mapper = PadMapper(layout, whereabouts, config)
        self.axes, self.buttons, self.now_ns = [0.0] * 8, [0] * 13, START_NS
        self.hold("deadman")

    def stick(self, **values: float) -> Pad:
        for name, value in values.items():
            self.axes[self.layout.axes[name].axis] = value
        return self

    def hold(self, name: str, down: bool = True) -> Pad:
        self.buttons[self.layout.buttons[name]] = int(down)
        return self

    def frames(self, seconds: float) -> list[TeleopFrame]:
        out = []
        for _ in range(max(1, round(seconds / 0.02))):
            self.now_ns += STEP_NS
            out.append(self.mapper.map(self.axes, self.buttons, self.now_ns))
        return out


@pytest.mark.parametrize("name", layout_names())
def test_packaged_layouts_walk_with_the_left_stick_and_turn_with_the_right(name):
    pad = Pad(load_layout(name))
    assert pad.stick(left_y=1.0).frames(0.02)[-1].flags == (1, 0, 0)
    assert pad.stick(left_y=-1.0, left_x=1.0).frames(0.02)[-1].flags == (-1, 1, 0)
    assert pad.stick(left_y=0.0, left_x=0.3, right_x=-0.9).frames(0.02)[-1].flags == (0, 0, -1)


def test_without_deadman_nothing_but_buttons_counts():
    pad = Pad().stick(left_y=1.0, hat_y=1.0).hold("deadman", False).hold(ESTOP)
    frame = pad.frames(0.02)[-1]
    assert not frame.deadman and frame.flags == (0, 0, 0) and frame.height_m is None
    assert frame.buttons == {ESTOP}


def test_the_hat_chooses_a_hand_whose_target_the_sticks_move_within_the_leash():
    pad = Pad(config=PadConfig(leash_m=0.1))
    pad.stick(hat_x=1.0).frames(0.02)
    frame = pad.stick(hat_x=0.0, left_y=1.0).frames(0.2)[-1]
    rest = whereabouts().left
    assert frame.flags == (0, 0, 0) and frame.right is None and frame.left.frame == TORSO
    moved = frame.left.position_m - rest.position_m
    assert moved[0] == pytest.approx(0.25 * 0.2, rel=0.15) and np.allclose(moved[1:], 0)
    far = pad.frames(3.0)[-1]
    assert np.linalg.norm(far.left.position_m - rest.position_m) == pytest.approx(0.1)
    back = pad.stick(left_y=0.0).hold("rest_hands").frames(1.0)[-1]
    assert np.allclose(back.left.position_m, rest.position_m, atol=1e-3)
    pad.hold("rest_hands", False).stick(hat_x=1.0).frames(0.02)
    assert pad.stick(hat_x=0.0, left_y=1.0).frames(0.02)[-1].flags == (1, 0, 0), "the same side again walks"


def test_triggers_close_grippers_and_count_as_released_until_they_move():
    pad = Pad()
    assert pad.frames(0.02)[-1].grippers == (1.0, 1.0)
    frame = pad.stick(left_trigger=-1.0, right_trigger=1.0).frames(0.02)[-1]
    assert frame.grippers == (0.0, 1.0)


def test_the_hat_moves_the_height_from_where_the_robot_stands():
    assert Pad().stick(hat_y=-1.0).frames(1.0)[-1].height_m == pytest.approx(0.54, abs=0.01)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("schema_version: 1", "schema_version: 7", "schema_version is 7"),
        ("estop: 1", "estop: 4", "share one number"),
        ("left_x: {axis: 0}", "left_x: {axis: -2}", "axes.left_x.axis"),
        ("left_x: {axis: 0}", "left_q: {axis: 0}", "left_q"),
        ("name: ps5", "name: [", "not valid YAML"),
    ],
)
def test_a_bad_layout_is_refused_with_file_and_field(tmp_path, old, new, complaint):
    import wbvla_teleop

    text = (Path(wbvla_teleop.__file__).parent / "layouts" / "ps5.yaml").read_text()
    assert old in text
    (tmp_path / "mine.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(DeviceError, match=complaint) as error:
        load_layout(str(tmp_path / "mine.yaml"))
    assert "mine.yaml" in str(error.value)


def test_an_unknown_layout_names_those_there_are():
    with pytest.raises(DeviceError, match="ps5, xbox"):
        load_layout("nintendo")


def event(value: int, kind: int, number: int) -> bytes:
    return struct.pack("<IhBB", 0, value, kind, number)


def test_a_kernel_joystick_reads_events_survives_unplugging_and_comes_back(tmp_path):
    path = tmp_path / "js0"
    os.mkfifo(path)
    device = JoystickDevice(str(path), PS5, whereabouts)
    device.open()
    pen = os.open(path, os.O_WRONLY)
    os.write(pen, event(1, 0x81, PS5.buttons["deadman"]) + event(-32767, 0x02, PS5.axes["left_y"].axis))
    frame = device.read(START_NS)
    assert frame.deadman and frame.flags == (1, 0, 0) and frame.stamp_ns == START_NS
    os.write(pen, event(0, 0x01, PS5.buttons["deadman"]))
    assert not device.read(START_NS + STEP_NS).deadman
    os.close(pen)
    assert device.read(START_NS + 2 * STEP_NS) is None
    back = device.read(START_NS + 10 * STEP_NS)
    assert back is None or not back.deadman, "a pad that is back begins with nothing held"
    device.close()
    device.close()


def test_a_joystick_that_is_not_there_says_what_to_do():
    with pytest.raises(DeviceError, match="group 'input'"):
        JoystickDevice("/dev/input/js77", PS5, whereabouts).open()


def test_joy_messages_become_frames_with_their_stamp_until_they_cease():
    device = JoyDevice("joy", PS5, whereabouts, silence_ms=150.0)
    device.open()
    assert device.read(START_NS) is None
    buttons = [0] * 13
    buttons[PS5.buttons["deadman"]] = 1
    device.take([0.0] * 8, buttons, START_NS)
    frame = device.read(START_NS + 10 * MS)
    assert frame.deadman and frame.stamp_ns == START_NS
    assert device.read(START_NS + 200 * MS) is None


def test_a_key_is_a_lease_of_half_a_second_and_the_deadman():
    keys = KeyMapper(whereabouts)
    assert not keys.frame(START_NS).deadman
    keys.press("w", START_NS)
    assert keys.frame(START_NS + 400 * MS).flags == (1, 0, 0)
    keys.press("W", START_NS + 400 * MS)
    assert keys.frame(START_NS + 800 * MS).flags == (1, 0, 0)
    over = keys.frame(START_NS + 901 * MS)
    assert not over.deadman and over.flags == (0, 0, 0)


def test_space_drops_every_lease_and_buttons_need_no_deadman():
    keys = KeyMapper(whereabouts)
    keys.press("w", START_NS)
    keys.press(" ", START_NS + MS)
    assert not keys.frame(START_NS + 2 * MS).deadman
    keys.press("n", START_NS + 3 * MS)
    frame = keys.frame(START_NS + 4 * MS)
    assert frame.buttons == {EPISODE_START} and not frame.deadman


def test_keys_move_the_chosen_hand_height_and_gripper():
    keys = KeyMapper(whereabouts)
    for i in range(10):
        for key in "1iurg":
            keys.press(key, START_NS + i * STEP_NS)
        frame = keys.frame(START_NS + i * STEP_NS)
    moved = frame.left.position_m - whereabouts().left.position_m
    assert moved[0] > 0.02 and moved[2] > 0.02 and frame.right is None
    assert frame.height_m > 0.65 and frame.grippers[0] < 0.5 < 0.51 > frame.grippers[1]


def test_the_keyboard_reads_a_terminal_shows_its_help_and_gives_it_back():
    ours, theirs = pty.openpty()
    device = KeyboardDevice(whereabouts, path=os.ttyname(theirs))
    device.open()
    assert HELP[:20] in os.read(ours, 4096).decode()
    os.write(ours, b"d")
    for i in range(50):
        frame = device.read(START_NS + i * MS)
        if frame.deadman:
            break
    assert frame.flags == (0, 0, -1)
    os.write(ours, b"?")
    device.read(START_NS + 60 * MS)
    assert HELP[:20] in os.read(ours, 4096).decode()
    device.close()
    assert device.read(START_NS + 70 * MS) is None
    os.close(ours)
    os.close(theirs)


def test_a_keyboard_without_terminal_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="in a terminal of its own"):
        KeyboardDevice(whereabouts, path=str(tmp_path / "file")).open()


def write_bag(folder: Path, mode: LocoMode = LocoMode.FLAGS, joint: str = "left_elbow_joint") -> Path:
    topics = (
        TopicInfo("/wbvla/arm_target", "wbvla_msgs/msg/ArmTarget"),
        TopicInfo("/wbvla/teleop/arm_target", "wbvla_msgs/msg/ArmTarget"),
        TopicInfo("/wbvla/loco_command", "wbvla_msgs/msg/LocoCommand"),
    )
    bag = BagWriter(folder, topics, {}, created_ns=START_NS)
    names = (joint, *SPEC.hand_names)
    for i in range(50):
        now_ns = START_NS + i * STEP_NS
        row = np.array([[-0.01 * i, 0.5, 1.0]])
        arm = ArmTarget(names, row, np.zeros(1, np.int64), now_ns, Source.TELEOP, 1, i, now_ns)
        other = ArmTarget(names, row + 0.3, np.zeros(1, np.int64), now_ns, Source.TELEOP, 1, i, now_ns)
        loco = LocoCommand(0.6, (1, 0, 0) if i >= 25 else (0, 0, 0), (0.2, 0, 0), mode, stamp_ns=now_ns)
        for topic, message in (
            (topics[0], conversions.arm_target_to_msg(arm)),
            (topics[1], conversions.arm_target_to_msg(other)),
            (topics[2], conversions.loco_command_to_msg(loco)),
        ):
            bag.write(topic.name, serialize_message(message), now_ns, now_ns)
    bag.close()
    return folder


def test_a_replay_gives_what_passed_the_mux_at_its_times_once(tmp_path):
    device = ReplayDevice(write_bag(tmp_path / "bag"), SPEC)
    device.open()
    assert not device.read(0).deadman, "the deadman is shown released first"
    frames = {t: device.read(t * MS) for t in range(20, 1220, 20)}
    assert frames[500].deadman and frames[500].joints == {"left_elbow_joint": pytest.approx(-0.25)}
    assert frames[500].grippers == (0.5, 1.0) and frames[500].flags == (1, 0, 0)
    assert frames[500].height_m == 0.6 and frames[480].flags == (0, 0, 0)
    assert not frames[1200].deadman


def test_a_replay_that_nobody_reads_stands_still(tmp_path):
    device = ReplayDevice(write_bag(tmp_path / "bag"), SPEC)
    device.open()
    for t in (0, 20, 40, 60_000, 60_020):
        frame = device.read(t * MS)
    assert frame.deadman and frame.joints["left_elbow_joint"] == pytest.approx(-0.08)


def test_what_cannot_be_replayed_is_refused_with_the_reason(tmp_path):
    with pytest.raises(DeviceError, match="no rosbag2 folder"):
        ReplayDevice(tmp_path, SPEC).open()
    with pytest.raises(DeviceError, match="only flags"):
        ReplayDevice(write_bag(tmp_path / "velocity", LocoMode.VELOCITY), SPEC).open()
    with pytest.raises(DeviceError, match="lacks: tail_joint"):
        ReplayDevice(write_bag(tmp_path / "tail", joint="tail_joint"), SPEC).open()


class Fixed:
    """A device with a given reading."""

    name = "fixed"

    def __init__(self, frame: TeleopFrame | None) -> None:
        self.frame = frame

    def open(self) -> None: ...

    def close(self) -> None: ...

    def read(self, now_ns: int) -> TeleopFrame | None:
        return self.frame


def test_a_guard_holds_the_deadman_of_a_device_that_drives_by_itself():
    device, guard = Fixed(TeleopFrame(1, True, flags=(1, 0, 0))), Fixed(TeleopFrame(1, False))
    guarded = Guarded(device, guard)
    assert not guarded.read(1).deadman
    guard.frame = TeleopFrame(1, True, buttons=frozenset({ESTOP}))
    frame = guarded.read(1)
    assert frame.deadman and frame.flags == (1, 0, 0) and frame.buttons == {ESTOP}
    guard.frame = None
    assert guarded.read(1) is None
    guard.frame, device.frame = TeleopFrame(1, True), None
    assert not guarded.read(1).deadman


class Eager:
    """An operator that always wants to walk."""

    def begin(self, sentence: str) -> None:
        if sentence != "walk":
            raise ValueError("say walk")

    def act(self, view: View, state: RobotState, now_ns: int) -> TeleopFrame:
        if not view.objects:
            raise ValueError("the scene shows nothing")
        return TeleopFrame(now_ns, True, flags=(1, 0, 0))


def test_a_scripted_operator_lets_go_once_after_a_silence_and_rests_without_a_sentence():
    device, nowhere = ScriptedDevice(Eager()), ObjectPose(np.zeros(3), np.array([1.0, 0, 0, 0]))

    def read(now_ns: int, seen: bool = True, objects=None) -> TeleopFrame | None:
        if seen:
            device.see(View(now_ns, nowhere, {"ball": nowhere} if objects is None else objects))
        device.feel(robot_state(now_ns))
        return device.read(now_ns)

    device.open()
    assert device.read(START_NS) is None
    assert [read(START_NS + i * MS).deadman for i in range(3)] == [False] * 3, "no sentence, no motion"
    with pytest.raises(ValueError, match="say walk"):
        device.instruct("sing")
    device.instruct("walk")
    assert read(START_NS + 20 * MS).deadman
    assert read(START_NS + 500 * MS, seen=False) is None
    assert [read(START_NS + t * MS).deadman for t in (520, 540)] == [False, True]
    assert not read(START_NS + 560 * MS, objects={}).deadman
    assert device.problem == "the scene shows nothing"
    device.instruct("walk")
    device.instruct(REST)
    assert not read(START_NS + 580 * MS).deadman and device.problem == ""
