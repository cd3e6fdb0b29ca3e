"""Bags: readable by other readers, whole after any cut, honest about a full disk."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
import yaml
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from wbvla_teleop.bag import BagError, BagWriter
from wbvla_teleop.bag_metadata import TopicInfo
from wbvla_teleop.cdr_fields import HeadReader
from wbvla_teleop.definitions import UnknownTypeError, definition, typestore
from wbvla_teleop.recover import McapScanError, find_cut_bags, is_whole, recover

sys.path.insert(0, str(Path(__file__).parent))
from bag_samples import TOPICS, robot_state, sentence

T0 = 1_700_000_000_000_000_000


def fill(folder: Path, count: int, *, close: bool = True, compression: str = "zstd") -> BagWriter:
    bag = BagWriter(
        folder,
        TOPICS,
        {"wbvla": {"task": "stand"}},
        {"contract.yaml": b"topics: {}\n"},
        created_ns=T0,
        compression=compression,
    )
    bag.write("/wbvla/instruction", sentence("stand still"), T0, T0)
    for i in range(count):
        stamp = T0 + i * 5_000_000
        bag.write("/wbvla/robot_state", robot_state(i, stamp), stamp + 1_000_000, stamp, i)
        if i % 50 == 49:
            bag.flush()
    if close:
        bag.close({"outcome": {"task_succeeded": "true"}})
    return bag


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_rosbags_reads_back_every_message_with_its_times(tmp_path, compression):
    fill(tmp_path / "bag", 120, compression=compression)
    with AnyReader([tmp_path / "bag"]) as reader:
        states = [
            (time, reader.deserialize(data, connection.msgtype))
            for connection, time, data in reader.messages()
            if connection.topic == "/wbvla/robot_state"
        ]
    assert [state.sequence for _, state in states] == list(range(120))
    assert states[7][0] == T0 + 7 * 5_000_000 + 1_000_000
    assert states[7][1].position.tolist() == [float(i) for i in range(31)]


def test_mcap_reader_finds_metadata_attachment_schema_and_times(tmp_path):
    fill(tmp_path / "bag", 10)
    with (tmp_path / "bag" / "bag_0.mcap").open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        assert {record.name: record.metadata for record in reader.iter_metadata()} == {
            "wbvla": {"task": "stand"},
            "outcome": {"task_succeeded": "true"},
        }
        assert [(a.name, a.data) for a in reader.iter_attachments()] == [("contract.yaml", b"topics: {}\n")]
        messages = list(reader.iter_messages(topics=["/wbvla/robot_state"]))
    schema, channel, message = messages[3]
    assert (schema.name, schema.encoding, channel.message_encoding) == (
        "wbvla_msgs/msg/RobotState",
        "ros2msg",
        "cdr",
    )
    assert message.log_time - message.publish_time == 1_000_000
    assert b"MSG: geometry_msgs/Quaternion" in schema.data


def test_metadata_yaml_is_what_humble_writes_and_counts_what_is_on_disk(tmp_path):
    bag = fill(tmp_path / "bag", 120, close=False)
    text = (tmp_path / "bag" / "metadata.yaml").read_text()
    information = yaml.safe_load(text)["rosbag2_bagfile_information"]
    assert (information["version"], information["storage_identifier"]) == (5, "mcap")
    assert information["message_count"] == 101
    topics = {t["topic_metadata"]["name"]: t for t in information["topics_with_message_count"]}
    assert topics["/wbvla/robot_state"]["message_count"] == 100
    qos = yaml.safe_load(topics["/wbvla/instruction"]["topic_metadata"]["offered_qos_profiles"])[0]
    assert (qos["reliability"], qos["durability"]) == (1, 1)
    bag.close()


@pytest.mark.parametrize("cut", [1, 30, 200, 1500])
def test_cut_bag_is_recovered_up_to_its_last_whole_chunk(tmp_path, cut):
    bag = fill(tmp_path / "bag", 300, close=False)
    bag.flush()
    size = bag.path.stat().st_size
    os.truncate(bag.path, size - cut)
    assert not is_whole(tmp_path / "bag")
    assert find_cut_bags(tmp_path) == [], "a bag that is still being written must be left alone"
    bag._stream.close()
    assert find_cut_bags(tmp_path) == [tmp_path / "bag"]
    report = recover(tmp_path / "bag")
    assert not report.was_whole and report.messages >= 251
    assert find_cut_bags(tmp_path) == []
    with AnyReader([tmp_path / "bag"]) as reader:
        assert sum(1 for _ in reader.messages()) == report.messages == reader.message_count
    with bag.path.open("rb") as stream:
        checked = make_reader(stream, validate_crcs=True)
        assert sum(1 for _ in checked.iter_messages()) == report.messages
        assert [record.name for record in checked.iter_metadata()] == ["wbvla"]
        assert [attachment.name for attachment in checked.iter_attachments()] == ["contract.yaml"]
    assert recover(tmp_path / "bag").was_whole


def test_cut_at_every_offset_of_the_last_chunk_leaves_a_readable_bag(tmp_path):
    bag = fill(tmp_path / "bag", 100, close=False)
    whole = bag.path.read_bytes()
    for keep in range(len(whole) - 1200, len(whole), 37):
        bag.path.write_bytes(whole[:keep])
        report = recover(bag.path)
        with bag.path.open("rb") as stream:
            messages = list(make_reader(stream, validate_crcs=True).iter_messages())
        assert len(messages) == report.messages >= 51


def test_damaged_last_chunk_is_dropped(tmp_path):
    bag = fill(tmp_path / "bag", 100, close=False)
    with bag.path.open("rb+") as stream:
        from wbvla_teleop.mcap_scan import scan

        last = scan(stream).chunks[-1]
        stream.truncate(last.chunk_start_offset + last.chunk_length)
        stream.seek(last.chunk_start_offset + 200)
        stream.write(b"\0" * 64)
    assert recover(bag.path).messages == 51


def test_file_that_is_no_bag_is_refused_with_its_name(tmp_path):
    (tmp_path / "x.mcap").write_bytes(b"not a bag at all")
    with pytest.raises(McapScanError, match=r"x\.mcap"):
        recover(tmp_path)
    with pytest.raises(FileNotFoundError, match="is it a bag folder"):
        recover(tmp_path.parent / "nothing")


def test_full_disk_stops_with_reason_and_keeps_what_was_flushed(tmp_path, monkeypatch):
    bag = fill(tmp_path / "bag", 100, close=False)

    def full(_fd: int) -> None:
        monkeypatch.undo()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    bag.write("/wbvla/robot_state", robot_state(100, T0 + 10**9), T0 + 10**9, T0 + 10**9, 100)
    with pytest.raises(BagError, match="disk full; the 102 messages before are kept") as caught:
        bag.flush()
    assert caught.value.disk_full
    with AnyReader([tmp_path / "bag"]) as reader:
        assert reader.message_count == 102


def test_unknown_type_and_existing_folder_are_refused(tmp_path):
    with pytest.raises(UnknownTypeError, match="nowhere_msgs/msg/Thing"):
        BagWriter(tmp_path / "a", [TopicInfo("/x", "nowhere_msgs/msg/Thing")], {}, created_ns=T0)
    (tmp_path / "b").mkdir()
    with pytest.raises(BagError, match="exists already"):
        BagWriter(tmp_path / "b", TOPICS, {}, created_ns=T0)


def test_head_reader_finds_stamp_and_sequence_without_deserialising():
    head = HeadReader(typestore(), "wbvla_msgs/msg/RobotState").read(robot_state(41, T0 + 5))
    assert (head.stamp_ns, head.sequence) == (T0 + 5, 41)
    assert HeadReader(typestore(), "std_msgs/msg/String").read(sentence("a")).stamp_ns is None
    with pytest.raises(ValueError, match="ends within its head"):
        HeadReader(typestore(), "wbvla_msgs/msg/RobotState").read(robot_state(1, T0)[:9])


def test_every_own_message_has_a_definition():
    for name in ("ArmTarget", "LocoCommand", "LegWaistCommand", "Status", "SimState", "EpisodeStatus"):
        assert "std_msgs/Header header" in definition(f"wbvla_msgs/msg/{name}")
