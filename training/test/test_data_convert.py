"""Bags become datasets by the contract; whatever is wrong with a bag is said once, and the others are used."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from wbvla_core.contract import Contract
from wbvla_teleop.bag_metadata import TopicInfo
from wbvla_training.data import convert as convert_module
from wbvla_training.data import workers as workers_module
from wbvla_training.data.bench_convert import min_psnr_db, stamp_errors_ms
from wbvla_training.data.bench_dataset import Quiet
from wbvla_training.data.convert import ConvertOptions, convert
from wbvla_training.data.dataset_index import DatasetIndex
from wbvla_training.data.errors import DataError, DiskFullError
from wbvla_training.data.frames import VideoFrames
from wbvla_training.data.samples import START_NS, SampleEpisode, picture_number, write_sample
from wbvla_training.data.schema import INTERVENTION, STAMPS

CAMERA = "observation.images.head_cam"
SHORT = SampleEpisode(seconds=2.0, camera_hz=30.0, pictures=60)


def run(bags, out, **options):
    return convert([bags], ConvertOptions(out, jobs=1, **options), Quiet())


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Three bags: a person, a takeover from the VLA, and a discarded one."""
    folder = tmp_path_factory.mktemp("session")
    write_sample(folder / "bags/a", SHORT)
    write_sample(folder / "bags/b", replace(SHORT, takeover_s=1.0, task="walk", start_ns=START_NS + 10**11))
    write_sample(folder / "bags/c", SHORT)
    (folder / "bags/c/episode.yaml").write_text(
        yaml.safe_dump({"state": "discarded", "outcome": {"discarded": "true", "discard_reason": "dropped it"}})
    )
    return folder


@pytest.fixture(scope="module", params=["v3.0", "v2.1"])
def dataset(session, request):
    out = session / request.param
    summary = run(session / "bags", out, format=request.param)
    assert summary.left_out == ["c: discarded (dropped it)"] and not summary.problems
    return out


def test_every_value_stands_beside_the_stamp_of_the_moment_it_tells_of(dataset, session):
    only_first = session / f"one-{dataset.name}"
    if not only_first.exists():
        run(session / "bags/a", only_first, format=dataset.name)
    error_ms, frames = stamp_errors_ms(only_first)
    assert frames >= 58
    assert error_ms < 0.1  # float32 of the made-up ramp


def test_time_is_exact_and_no_sample_is_of_the_future(dataset):
    index = DatasetIndex.open(dataset)
    for episode in index.episodes:
        columns = index.episode_columns(episode)
        numbers = np.arange(episode.length)
        assert np.array_equal(columns["timestamp"][:, 0], (numbers / 30).astype(np.float32))
        assert np.array_equal(columns["frame_index"][:, 0], numbers)
        assert np.array_equal(columns["index"][:, 0], numbers + episode.begin)
        stamps = columns[STAMPS]
        assert (stamps[:, 1:-1] <= stamps[:, :1]).all()
        assert np.abs(np.diff(stamps[:, 0]) - 1e9 / 30).max() <= 1


def test_pictures_are_the_newest_not_after_the_frame_and_hardly_differ_from_the_jpegs(dataset):
    index = DatasetIndex.open(dataset)
    camera = index.names(STAMPS).index("head_camera")
    for episode, start_ns in zip(index.episodes, (START_NS, START_NS + 10**11), strict=True):
        stamps = index.episode_columns(episode)[STAMPS][:, camera]
        path, first = episode.videos[CAMERA]
        video = VideoFrames(path, index.fps)
        for frame in (0, 1, 17, episode.length - 1):
            assert picture_number(video.read(first + frame)) == round((stamps[frame] - start_ns) * 30 / 1e9) % 60
        video.close()
    assert min_psnr_db(dataset, 60, step=7) >= 35.0


def test_authority_interventions_tasks_and_provenance_are_kept(dataset):
    index = DatasetIndex.open(dataset)
    first, second = index.episodes
    assert (first.tasks, second.tasks) == (("touch the red ball with your left hand",), ("walk",))
    assert not index.episode_columns(first)[INTERVENTION].any()
    columns = index.episode_columns(second)
    authority, intervention = columns["complementary_info.authority"][:, 0], columns[INTERVENTION][:, 0]
    assert authority[0] == 1 and authority[-1] == 2 and 25 <= int((authority == 1).sum()) <= 32
    assert np.array_equal(intervention, authority == 2)
    assert [account["bag"] for account in index.provenance] == ["a", "b"]
    assert index.contract().hash == Contract.load("x2").hash
    assert (dataset / "meta/wbvla/robot.yaml").exists()


def test_statistics_are_those_of_the_values(dataset):
    index = DatasetIndex.open(dataset)
    values = index.columns(["observation.state"])["observation.state"]
    stats = index.stats()["observation.state"]
    assert np.allclose(stats["mean"], values.mean(axis=0), atol=1e-6)
    assert np.allclose(stats["std"], values.std(axis=0), atol=1e-6)
    assert np.array_equal(stats["max"].astype(np.float32), values.max(axis=0))
    assert stats["count"] == [index.frames]
    picture = index.stats()[CAMERA]
    assert picture["mean"].shape == (3, 1, 1) and 0.2 < picture["mean"].mean() < 0.8


def test_slower_camera_repeats_its_picture_and_its_state(tmp_path):
    write_sample(tmp_path / "bags/a", replace(SHORT, camera_hz=15.0))
    run(tmp_path / "bags", tmp_path / "out")
    columns = DatasetIndex.open(tmp_path / "out").columns([STAMPS, "observation.state", "action"])
    assert len(np.unique(columns[STAMPS][:, 1])) == len(columns[STAMPS]) // 2
    assert np.array_equal(columns["observation.state"][0], columns["observation.state"][1])
    assert columns["action"][0, 0] != columns["action"][1, 0]


def test_split_keys_are_slices_of_the_action(tmp_path):
    write_sample(tmp_path / "bags/a", SHORT)
    run(tmp_path / "bags", tmp_path / "out", split_keys=True)
    columns = DatasetIndex.open(tmp_path / "out").columns(["action", "action.arm_joints", "action.loco_cmd"])
    assert np.array_equal(columns["action.arm_joints"], columns["action"][:, :14])
    assert np.array_equal(columns["action.loco_cmd"], columns["action"][:, 16:])


def test_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    for name in "ab":
        write_sample(tmp_path / f"bags/{name}", SHORT)
    real = workers_module.convert_bag

    def interrupted(plan, folder, report):
        if plan.path.name == "b":
            raise KeyboardInterrupt
        return real(plan, folder, report)

    monkeypatch.setattr(workers_module, "convert_bag", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "bags", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(workers_module, "convert_bag", real)
    with pytest.raises(DataError, match="another schema"):
        run(tmp_path / "bags", tmp_path / "out", split_keys=True)
    summary = run(tmp_path / "bags", tmp_path / "out")
    assert (summary.resumed, summary.episodes) == (1, 2)
    assert not (tmp_path / "out.part").exists()


def test_existing_output_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="exists already"):
        run(tmp_path, tmp_path / "out")


def test_silence_of_a_needed_topic_cuts_the_episode_there(tmp_path):
    write_sample(tmp_path / "bags/a", replace(SHORT, seconds=5.0, silent=(("arm_target", 2.0, 3.0),)))
    summary = run(tmp_path / "bags", tmp_path / "out")
    index = DatasetIndex.open(tmp_path / "out")
    assert len(index.episodes) == 2
    assert [round(episode.length / 30, 1) for episode in index.episodes] == pytest.approx([2.2, 2.0], abs=0.1)
    assert "action: /wbvla/arm_target silent for" in summary.notes[0]


# What is wrong with bags. "good" always is one that works.


def with_good(tmp_path, bad: str) -> convert_module.Summary:
    write_sample(tmp_path / "bags/good", SHORT)
    summary = run(tmp_path / "bags", tmp_path / "out")
    assert DatasetIndex.open(tmp_path / "out").provenance[-1]["bag"] == "good"
    assert all(bad in text for text in (*summary.problems, *summary.notes, *summary.left_out))
    return summary


def test_bag_of_a_killed_recorder_gives_what_was_flushed(tmp_path):
    write_sample(tmp_path / "bags/bad", SHORT, close=False)
    summary = with_good(tmp_path, "bad")
    assert summary.notes == ["bad: the recording was cut; what came before is kept"]
    assert summary.episodes == 2


def test_cut_bag_gives_what_came_before_the_cut(tmp_path):
    bag = write_sample(tmp_path / "bags/bad", SHORT)
    os.truncate(bag.path, bag.path.stat().st_size * 2 // 3)
    summary = with_good(tmp_path, "bad")
    assert summary.episodes == 2 and "was cut" in summary.notes[-1]


def test_bag_cut_down_to_nothing_is_named(tmp_path):
    bag = write_sample(tmp_path / "bags/bad", SHORT)
    os.truncate(bag.path, 40)
    (problem,) = with_good(tmp_path, "bad").problems
    assert "cannot be read" in problem


def test_damage_in_the_middle_ends_the_episode_there(tmp_path):
    bag = write_sample(tmp_path / "bags/bad", SHORT)
    with bag.path.open("r+b") as stream:
        stream.seek(bag.path.stat().st_size * 3 // 4)
        stream.write(b"\0" * 4096)
    summary = with_good(tmp_path, "bad")
    assert any("chunk at byte" in note for note in summary.notes)


def test_missing_topic_is_named_with_the_feature_that_needs_it(tmp_path):
    write_sample(tmp_path / "bags/bad", replace(SHORT, leave_out=("loco_command",)))
    (problem,) = with_good(tmp_path, "bad").problems
    assert "no topic /wbvla/loco_command, which action needs" in problem


def test_topic_without_messages_is_named(tmp_path):
    write_sample(tmp_path / "bags/bad", replace(SHORT, silent=(("robot_state", 0.0, 99.0),)))
    (problem,) = with_good(tmp_path, "bad").problems
    assert "gives no frames: observation.state: nothing on /wbvla/robot_state yet" in problem


def test_wrong_type_is_named(tmp_path, monkeypatch):
    def other(name, kind, *rest):
        return TopicInfo(name, "std_msgs/msg/String" if name.endswith("/robot_state") else kind, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("wbvla_training.data.samples.TopicInfo", other)
        write_sample(tmp_path / "bags/bad", SHORT)
    (problem,) = with_good(tmp_path, "bad").problems
    assert "/wbvla/robot_state has type std_msgs/msg/String, the contract says wbvla_msgs/msg/RobotState" in problem


def test_other_definition_of_a_type_is_named(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        real = __import__("wbvla_teleop.bag", fromlist=["definition"]).definition
        patch.setattr("wbvla_teleop.bag.definition", lambda kind: real(kind).replace("float64 height", "float32 height"))
        write_sample(tmp_path / "bags/bad", SHORT)
    (problem,) = with_good(tmp_path, "bad").problems
    assert "another definition of wbvla_msgs/msg/LocoCommand" in problem


def test_bag_of_another_robot_is_refused(tmp_path):
    write_sample(tmp_path / "bags/zz", replace(SHORT, robot="someone_else"))
    write_sample(tmp_path / "bags/good", SHORT)
    summary = run(tmp_path / "bags", tmp_path / "out")
    assert summary.episodes == 1
    assert "is of robot someone_else, the dataset of x2_ultra; convert them apart" in summary.problems[0]


def test_clock_that_jumps_back_begins_a_new_episode(tmp_path):
    from wbvla_training.data import samples

    bag = write_sample(tmp_path / "bags/bad", SHORT, close=False)
    spec, contract = samples.RobotSpec.load("x2_ultra"), Contract.load("x2")
    earlier = replace(SHORT, start_ns=START_NS - 30 * 10**9)
    for key, stamp_ns, data in samples._messages(earlier, spec, contract):
        name = samples._full(contract.topics[key].topic)
        bag.write(name, data, stamp_ns + samples.TRANSPORT_NS, stamp_ns)
    bag.close()
    summary = with_good(tmp_path, "bad")
    assert summary.episodes == 3
    assert "the recorder's clock jumped back by 32" in summary.notes[0]


def test_velocity_commands_do_not_pass_for_flags(tmp_path, monkeypatch):
    real = __import__("wbvla_training.data.samples", fromlist=["_Maker"])._Maker._loco_command
    with monkeypatch.context() as patch:
        patch.setattr("wbvla_training.data.samples._Maker._loco_command",
                      lambda self, *a: {**real(self, *a), "mode": 1})  # fmt: skip
        write_sample(tmp_path / "bags/bad", SHORT)
    (problem,) = with_good(tmp_path, "bad").problems
    assert "nothing on /wbvla/loco_command" in problem


def test_failed_audit_is_left_out_unless_asked_for(tmp_path):
    write_sample(tmp_path / "bags/bad", SHORT)
    audit = {"/wbvla/robot_state": {"count": 100, "rate_hz": 50.0, "expected_hz": 200.0, "dropped": 0}}
    (tmp_path / "bags/bad/episode.yaml").write_text(yaml.safe_dump({"state": "finished", "audit": audit}))
    (reason,) = with_good(tmp_path, "bad").left_out
    assert "/wbvla/robot_state came at 50.0 Hz of 200 Hz" in reason
    assert run(tmp_path / "bags", tmp_path / "all", keep_failed_audit=True).episodes == 2


def test_full_disk_keeps_finished_episodes_and_a_later_run_goes_on(tmp_path, monkeypatch):
    for name in "ab":
        write_sample(tmp_path / f"bags/{name}", SHORT)
    real, calls = pq.ParquetWriter.write_table, []

    def full(self, *arguments, **keywords):
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(DiskFullError, match=r"disk full.*finished before are kept"):
            run(tmp_path / "bags", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    summary = run(tmp_path / "bags", tmp_path / "out")
    assert (summary.resumed, summary.episodes) == (1, 2)


def test_several_jobs_give_the_same_dataset(tmp_path):
    for name in "ab":
        write_sample(tmp_path / f"bags/{name}", SHORT)
    run(tmp_path / "bags", tmp_path / "one")
    convert([tmp_path / "bags"], ConvertOptions(tmp_path / "two", jobs=2), Quiet())
    one, two = DatasetIndex.open(tmp_path / "one"), DatasetIndex.open(tmp_path / "two")
    assert np.array_equal(one.columns([STAMPS])[STAMPS], two.columns([STAMPS])[STAMPS])
    info = json.loads((tmp_path / "two/meta/info.json").read_text())
    assert info["total_frames"] == one.frames
    shutil.rmtree(tmp_path / "two")
