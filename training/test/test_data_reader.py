"""What training reads equals what the VLA node sees live."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from wbvla_core.contract import Contract
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import RobotState
from wbvla_core.vla_bundle import ImageSection
from wbvla_core.vla_input import decode_jpeg, prepare_image
from wbvla_teleop.definitions import typestore
from wbvla_training.data.bag_source import BagSource
from wbvla_training.data.bench_dataset import Quiet, measure
from wbvla_training.data.convert import ConvertOptions, convert
from wbvla_training.data.errors import DataError
from wbvla_training.data.reader import EpisodeReader, EpisodeShuffle, split_episodes
from wbvla_training.data.samples import SampleEpisode, jpeg, picture_number, write_sample
from wbvla_training.data.schema import STAMPS
from wbvla_vla_node.core import VlaConfig, VlaCore

CAMERA = "observation.images.head_cam"
SECTION = ImageSection((0.1, 0.0, 0.9, 1.0), 128, 96, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
EPISODE = SampleEpisode(seconds=2.0, camera_hz=15.0, state_hz=200.0, pictures=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("reader")
    for i, name in enumerate("abc"):
        write_sample(path / f"bags/{name}", replace(EPISODE, start_ns=EPISODE.start_ns + i * 10**11, seconds=2.0 + 0.2 * i))
    convert([path / "bags"], ConvertOptions(path / "data", jobs=1), Quiet())
    return path


class Recorded:
    """A backend that keeps what it is handed."""

    def __init__(self) -> None:
        self.seen: list = []

    def submit(self, observation, _id, stamp_ns):
        self.seen.append((stamp_ns, observation))
        return True

    def poll(self):
        return []

    def reset(self, _sentence):
        return None


def live_observations(bag, contract):
    """What a VLA node hands its model while the bag's messages arrive: one observation per picture."""
    spec, backend = RobotSpec.load("x2_ultra"), Recorded()
    store = typestore()

    def state(message) -> RobotState:
        q = message.orientation
        zero = np.zeros(spec.n)
        return RobotState(0, message.sequence, message.position, zero, zero, message.gripper_opening,
                          np.array([q.w, q.x, q.y, q.z]), np.zeros(3), np.zeros(3))  # fmt: skip

    core = VlaCore(backend, VlaConfig(), decode_state=state)
    core.set_instruction("touch the red ball with your left hand", 0)
    names = {f"/wbvla/{contract.topics[k].topic}": k for k in ("head_camera", "robot_state")}
    picture_ns = None
    for topic, receive_ns, data in BagSource.open(bag).messages(set(names)):
        message = store.deserialize_cdr(data, contract.topics[names[topic]].type)
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        if names[topic] == "head_camera":
            core.on_image(stamp_ns, jpeg=bytes(message.data))
            picture_ns = stamp_ns
        else:
            core.on_state(stamp_ns, message)
            if picture_ns is not None and stamp_ns > picture_ns:
                core.begin(receive_ns)
                core._flights.clear()
                picture_ns = None
    return dict(backend.seen)


def test_live_frame_equals_bag_frame_bit_for_bit_and_the_state_equals_the_datasets(folder):
    contract = Contract.load("x2")
    live = live_observations(folder / "bags/a", contract)
    reader = EpisodeReader(folder / "data", episodes=[0], fresh_only=True)
    stamps = reader.index.episode_columns(reader.episodes[0])[STAMPS]
    compared = 0
    for item in reader.walk(0):
        stamp_ns = int(stamps[item["frame"], 1])
        if stamp_ns not in live:  # the last picture has no later state in this replay
            continue
        observation = live[stamp_ns]
        assert observation.image_jpeg == jpeg(picture_number(item[CAMERA]))
        assert np.array_equal(observation.state, item["observation.state"])
        assert observation.instruction == item["task"]
        compared += 1
    assert compared >= 27


def test_pictures_go_through_the_same_preparation_as_on_the_robot(folder):
    plain, prepared = (EpisodeReader(folder / "data", image=section) for section in (None, SECTION))
    rgb, picture = plain[5][CAMERA], prepared[5][CAMERA]
    assert picture.shape == (3, 96, 128) and picture.dtype == np.float32
    assert np.array_equal(picture, prepare_image(rgb, SECTION)[0])
    truth = prepare_image(decode_jpeg(jpeg(picture_number(rgb))), SECTION)[0]
    assert np.abs(picture - truth).mean() < 0.02


def test_chunks_are_the_actions_to_come_and_repeat_the_last_behind_the_end(folder):
    reader = EpisodeReader(folder / "data", chunk=8, stride=3)
    actions = reader.index.columns(["action"])["action"]
    episode = reader.episodes[1]
    i = reader.indices(1)[10]
    assert np.array_equal(reader[i]["action"], actions[episode.begin + 10 + 3 * np.arange(8)])
    assert not reader[i]["action_is_pad"].any()
    last = reader[reader.indices(1)[-4]]
    assert last["action_is_pad"].tolist() == [False, False, *[True] * 6]
    assert np.array_equal(last["action"][2], actions[episode.begin + episode.length - 1])


def test_any_order_gives_the_same_pictures_as_the_order_of_time(folder):
    reader = EpisodeReader(folder / "data")
    in_order = [picture_number(item[CAMERA]) for e in range(3) for item in reader.walk(e)]
    for i in np.random.default_rng(1).permutation(len(reader))[:40]:
        assert picture_number(reader[int(i)][CAMERA]) == in_order[i]


def test_epochs_hold_every_frame_once_in_new_orders_and_mix_few_episodes_at_once(folder):
    reader = EpisodeReader(folder / "data")
    shuffle = EpisodeShuffle(reader, seed=3, together=1)
    first, second = list(shuffle), list(shuffle)
    assert sorted(first) == sorted(second) == list(range(len(reader))) and first != second
    episodes = [int(reader._of[i]) for i in first]
    assert int(np.count_nonzero(np.diff(episodes))) == 2
    assert list(EpisodeShuffle(reader, seed=3, together=1)) == first


def test_reader_travels_to_another_process_without_its_open_files(folder):
    reader = EpisodeReader(folder / "data", chunk=4)
    item = reader[7]
    copy = pickle.loads(pickle.dumps(reader))
    assert not copy._videos
    assert np.array_equal(copy[7][CAMERA], item[CAMERA])


def test_torch_loader_batches_with_several_workers(folder):
    import torch
    from wbvla_training.data.reader import torch_loader

    reader = EpisodeReader(folder / "data", chunk=4, image=SECTION)
    batch = next(iter(torch_loader(reader, 4, workers=1)))
    assert batch["action"].shape == (4, 4, 20) and batch[CAMERA].dtype == torch.float32


def test_episodes_are_held_out_whole():
    train, held_out = split_episodes(10, 0.2, seed=1)
    assert len(held_out) == 2 and sorted(train + held_out) == list(range(10))
    assert split_episodes(5, 0.0) == ([0, 1, 2, 3, 4], [])


def test_wrong_questions_are_answered_with_what_there_is(folder, tmp_path):
    with pytest.raises(DataError, match="no LeRobot dataset"):
        EpisodeReader(tmp_path)
    with pytest.raises(DataError, match="no camera hand; it has observation"):
        EpisodeReader(folder / "data", cameras=["hand"])
    with pytest.raises(DataError, match="has episodes 0 to 2"):
        EpisodeReader(folder / "data", episodes=[3])


def test_bench_measures_random_and_sequential_reading(folder):
    figures = measure(folder / "data", 0.3)
    assert figures["random_frames_per_s"] > 5 and figures["sequential_frames_per_s"] > 5
