"""Episodes: counted, audited, ended cleanly by people, by a full disk and by SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from wbvla_teleop.audit import Audit
from wbvla_teleop.recorder_core import EpisodeRecorder
from wbvla_teleop.recorder_types import EpisodeState, RecorderConfig, RecorderError
from wbvla_teleop.recover import find_cut_bags, recover

sys.path.insert(0, str(Path(__file__).parent))
from bag_samples import TOPICS, robot_state, sentence

T0 = 1_700_000_000_000_000_000
STATE, WORDS = TOPICS[0].name, TOPICS[1].name


def recorder(folder: Path, **changes) -> EpisodeRecorder:
    defaults = {"metadata": {"git_commit": "abc"}, "min_free_bytes": 1, "flush_period_s": 0.1}
    return EpisodeRecorder(RecorderConfig(folder, TOPICS, {STATE: 200.0}, **{**defaults, **changes}))


def feed(target: EpisodeRecorder, numbers, start_ns: int = T0) -> None:
    for i in numbers:
        target.take(STATE, robot_state(i, start_ns + i * 5_000_000), start_ns + i * 5_000_000 + 400_000)


def test_episode_holds_every_message_and_its_story(tmp_path):
    rec = recorder(tmp_path)
    rec.take(WORDS, sentence("stand"), T0 - 10**9)
    feed(rec, range(5))
    name = rec.start("stand still", "ann", T0)
    feed(rec, range(5, 405))
    assert rec.snapshot(T0 + 10**9).state == EpisodeState.RECORDING
    assert rec.stop({"task_succeeded": "true", "note": "fine"}, T0 + 2 * 10**9) == name
    shot = rec.snapshot(T0 + 9 * 10**9)
    assert (shot.state, shot.messages, shot.dropped, shot.elapsed_s) == (EpisodeState.FINISHED, 401, 0, 2.0)
    with AnyReader([tmp_path / name]) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
        first = next(reader.messages())
    assert counts == {STATE: 400, WORDS: 1}
    assert first[0].topic == WORDS and first[1] == T0, (
        "a latched topic opens the episode with its last message"
    )
    with (tmp_path / name / f"{name}_0.mcap").open("rb") as stream:
        records = {record.name: record.metadata for record in make_reader(stream).iter_metadata()}
    assert records["wbvla"] == {
        "git_commit": "abc",
        "episode": name,
        "task": "stand still",
        "operator": "ann",
    }
    assert records["wbvla_outcome"] == {"task_succeeded": "true", "note": "fine"}
    assert '"count": 400' in records["wbvla_audit"][STATE]


def test_missing_sequence_numbers_are_dropped_messages_and_raise_an_alarm(tmp_path):
    rec = recorder(tmp_path)
    rec.start("a", "b", T0)
    feed(rec, [0, 1, 2, 6, 7])
    feed(rec, [0, 1], T0 + 10**9)
    rec.stop({}, T0 + 2 * 10**9)
    shot = rec.snapshot(T0)
    assert shot.dropped == 3, "3, 4 and 5 are missing; a count that begins anew is not a gap"


def test_lost_samples_of_the_middleware_count_since_the_start(tmp_path):
    rec = recorder(tmp_path)
    rec.lost(STATE, 7)
    rec.start("a", "b", T0)
    feed(rec, range(3))
    rec.lost(STATE, 9)
    rec.stop({}, T0 + 10**9)
    assert rec.snapshot(T0).dropped == 2


def test_full_queue_drops_and_says_so(tmp_path):
    rec = recorder(tmp_path, queue_bytes=3000)
    rec.start("a", "b", T0)
    feed(rec, range(50))
    rec.stop({}, T0 + 10**9)
    shot = rec.snapshot(T0 + 10**9)
    assert shot.dropped > 0 and shot.messages + shot.dropped >= 50
    assert any("disk is slower" in alarm for alarm in shot.alarms)


def test_discarded_episode_stays_with_its_reason(tmp_path):
    rec = recorder(tmp_path)
    running = rec.start("a", "b", T0)
    rec.discard("cup fell", T0 + 10**9)
    later = rec.start("a", "b", T0 + 2 * 10**9)
    rec.stop({"task_succeeded": "true"}, T0 + 3 * 10**9)
    rec.discard("wrong cup", T0 + 4 * 10**9)
    assert rec.state == EpisodeState.DISCARDED
    for name, reason in ((running, "cup fell"), (later, "wrong cup")):
        episode = yaml.safe_load((tmp_path / name / "episode.yaml").read_text())
        assert episode["state"] == "discarded" and episode["outcome"]["discard_reason"] == reason


def test_requests_out_of_order_are_refused_with_what_to_do(tmp_path):
    rec = recorder(tmp_path)
    with pytest.raises(RecorderError, match="start one first"):
        rec.stop({}, T0)
    with pytest.raises(RecorderError, match="no episode to discard"):
        rec.discard("x", T0)
    rec.start("a", "b", T0)
    with pytest.raises(RecorderError, match="stop or discard it first"):
        rec.start("a", "b", T0)
    rec.stop({}, T0)


def test_disk_below_the_reserve_ends_the_episode_and_keeps_the_bag(tmp_path, monkeypatch):
    rec = recorder(tmp_path, min_free_bytes=1000)
    name = rec.start("a", "b", T0)
    feed(rec, range(100))
    monkeypatch.setattr(rec, "_free_bytes", lambda: 10)
    deadline = time.monotonic() + 10
    while not rec.poll(T0 + 10**9) and time.monotonic() < deadline:
        time.sleep(0.02)
    shot = rec.snapshot(T0 + 10**9)
    assert shot.state == EpisodeState.FAILED and shot.disk_full and "disk almost full" in shot.detail
    with AnyReader([tmp_path / name]) as reader:
        assert reader.message_count == 100


def test_audit_notes_low_rate_silence_and_skew():
    audit = Audit({"/s": 100.0, "/a": 10.0, "/l": 10.0}, [("/a", "/l")])
    for i in range(150):
        audit.saw("/s", i * 20_000_000, None, None)
    for i in range(10):
        audit.saw("/a", i * 100_000_000, i * 100_000_000, i)
        audit.saw("/l", i * 100_000_000, i * 100_000_000 + (60_000_000 if i > 4 else 0), i)
    assert audit.skew_ms == pytest.approx(60.0)
    sentences = " ".join(audit.alarms(3_000_000_000))
    assert "/s: 50.0 Hz, the contract promises 100.0 Hz" in sentences
    assert "60 ms apart" in sentences
    assert "/s: silent for 2020 ms" in " ".join(audit.alarms(5_000_000_000))


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from bag_samples import TOPICS, robot_state
from wbvla_teleop.recorder_core import EpisodeRecorder
from wbvla_teleop.recorder_types import RecorderConfig
rec = EpisodeRecorder(RecorderConfig(Path(sys.argv[1]), TOPICS, flush_period_s=0.3, min_free_bytes=1))
rec.start("killed", "nobody", time.time_ns(), name="killed")
i = 0
while True:
    now = time.time_ns()
    rec.take(TOPICS[0].name, robot_state(i, now), now)
    print(now, flush=True)
    i += 1
    time.sleep(0.01)
"""


def test_sigkill_of_the_recorder_loses_at_most_the_last_second(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        stamps = [int(child.stdout.readline()) for _ in range(150)]
        os.kill(child.pid, signal.SIGKILL)
        stamps += [int(line) for line in child.stdout.read().splitlines()]
    information = yaml.safe_load((tmp_path / "killed" / "metadata.yaml").read_text())
    told = information["rosbag2_bagfile_information"]["message_count"]
    assert find_cut_bags(tmp_path) == [tmp_path / "killed"]
    report = recover(tmp_path / "killed")
    assert report.messages >= told > 0
    with AnyReader([tmp_path / "killed"]) as reader:
        last = [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages()][-1]
    last_ns = last.header.stamp.sec * 10**9 + last.header.stamp.nanosec
    assert stamps[-1] - last_ns < 1_000_000_000
