"""Samples become frames as a contract says; statistics equal numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from wbvla_core.contract import Contract
from wbvla_teleop.definitions import typestore
from wbvla_training.data import stats as stats_module
from wbvla_training.data.align import Aligner, Frame, Gap
from wbvla_training.data.fields import FieldError, decode
from wbvla_training.data.stats import VectorStats, merge

MS = 1_000_000
T0 = 10**18
CONTRACT = """
schema_version: 1
name: small
robot: nobody
frame_rate_hz: 10
topics:
  joints: {topic: joints, type: sensor_msgs/msg/JointState, rate_hz: 50, stamp: header.stamp, record: always}
  target: {topic: target, type: sensor_msgs/msg/JointState, rate_hz: 50, stamp: header.stamp, record: always}
  word: {topic: word, type: std_msgs/msg/UInt8, rate_hz: null, stamp: receive, record: always}
features:
  measured:
    dtype: float64
    parts: [{topic: joints, fields: [position], select: true, alignment: ALIGNMENT, max_age_s: 0.05, names: [a, b]}]
  wanted:
    dtype: float64
    parts: [{topic: target, fields: [position], select: true, alignment: latest, max_age_s: 0.2, names: [a, b]}]
  word:
    dtype: int64
    parts: [{topic: word, fields: [data], alignment: latest, max_age_s: null, names: [word]}]
"""


def joints(stamp_ns: int, **values: float) -> bytes:
    store = typestore()
    types = store.types
    stamp = types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    message = types["sensor_msgs/msg/JointState"](
        header=types["std_msgs/msg/Header"](stamp=stamp, frame_id=""), name=list(values),
        position=np.array(list(values.values()), float), velocity=np.zeros(0), effort=np.zeros(0),
    )  # fmt: skip
    return bytes(store.serialize_cdr(message, "sensor_msgs/msg/JointState"))


def word(value: int) -> bytes:
    store = typestore()
    return bytes(store.serialize_cdr(store.types["std_msgs/msg/UInt8"](data=value), "std_msgs/msg/UInt8"))


def frames(messages: list[tuple[str, int, bytes]], alignment: str = "latest") -> list[Frame | Gap]:
    aligner = Aligner(Contract.parse(CONTRACT.replace("ALIGNMENT", alignment)), {k: k for k in ("joints", "target", "word")})
    events = [event for message in messages for event in aligner.push(*message)]
    return [*events, *aligner.finish()]


def steady(milliseconds: int, step: int = 20) -> list[tuple[str, int, bytes]]:
    """Joint a tells the time in ms; stamps are 7 ms off the grid after the first."""
    rows = [("word", T0, word(1)), ("target", T0, joints(T0, a=5.0, b=6.0)), ("joints", T0, joints(T0, a=0.0, b=0.0))]
    for t in range(step, milliseconds, step):
        stamp = T0 + (t - 7) * MS
        rows.append(("joints", T0 + t * MS, joints(stamp, b=1.0, a=float(t - 7))))
        rows.append(("target", T0 + t * MS, joints(stamp, a=5.0)))
    return rows


@pytest.mark.parametrize(
    ("alignment", "expected"),
    [("latest", [0, 93, 193, 293]), ("nearest", [0, 93, 193, 293]), ("interpolate", [0, 100, 200, 300])],
)
def test_alignments_take_the_newest_the_nearest_or_what_lies_between(alignment, expected):
    found = [f for f in frames(steady(400), alignment) if isinstance(f, Frame)]
    assert [round(f.vectors["measured"][0]) for f in found[:4]] == expected


def test_grid_is_exact_and_names_are_found_by_name():
    found = [f for f in frames(steady(1000)) if isinstance(f, Frame)]
    assert [f.time_ns - T0 for f in found[:3]] == [0, 100 * MS, 200 * MS]
    assert found[1].vectors["measured"].tolist() == [93.0, 1.0]
    assert found[1].stamps_ns["joints"] == T0 + 93 * MS


def test_names_that_a_message_leaves_out_keep_their_value():
    found = [f for f in frames(steady(500)) if isinstance(f, Frame)]
    assert all(f.vectors["wanted"].tolist() == [5.0, 6.0] for f in found)


def test_event_topics_hold_their_last_word():
    rows = steady(1000)
    rows.insert(40, ("word", rows[40][1], word(2)))
    words = [int(f.vectors["word"][0]) for f in frames(rows) if isinstance(f, Frame)]
    assert words[0] == 1 and words[-1] == 2 and sorted(words) == words


def test_silence_ends_the_run_with_a_reason_and_a_new_one_begins():
    rows = [row for row in steady(2000) if not (row[0] == "joints" and 500 < (row[1] - T0) / MS < 1000)]
    events = frames(rows)
    gaps = [e for e in events if isinstance(e, Gap)]
    assert "measured: joints silent for" in gaps[0].reason and gaps[-1].reason == "the recording ended"
    times = [e.time_ns for e in events if isinstance(e, Frame)]
    assert max(np.diff(times)) > 300 * MS


def test_samples_that_cannot_be_are_counted_and_forgotten():
    rows = steady(600)
    rows[10:10] = [
        ("joints", rows[10][1], b"\0\1"),
        ("joints", rows[10][1], joints(rows[10][1] + 10**9, a=9.0, b=9.0)),
        ("joints", rows[10][1], joints(rows[10][1] - 10**8 * 2, a=9.0, b=9.0)),
        ("joints", rows[10][1] + 1, joints(rows[10][1], a=float("nan"), b=9.0)),
    ]
    aligner = Aligner(Contract.parse(CONTRACT.replace("ALIGNMENT", "latest")), {k: k for k in ("joints", "target", "word")})
    found = [e for row in rows for e in aligner.push(*row)] + list(aligner.finish())
    assert all(f.vectors["measured"][0] < 600 and f.vectors["measured"][1] < 9 for f in found if isinstance(f, Frame))
    faults = " ".join(aligner.tracks["joints"].faults)
    for text in ("has no header", "stamped in the future", "clock jumped back"):
        assert text in faults


def test_bytes_that_are_no_message_are_named():
    with pytest.raises(FieldError, match="is no sensor_msgs/msg/JointState"):
        decode(b"\0\1\0\0\1", "sensor_msgs/msg/JointState")


def test_running_and_merged_statistics_equal_numpys(monkeypatch):
    monkeypatch.setattr(stats_module, "_KEPT_ROWS", 500)
    rows = np.random.default_rng(0).normal(3.0, 2.0, (4000, 3))
    halves = []
    for half in np.split(rows, 2):
        running = VectorStats(3)
        for batch in np.array_split(half, 13):
            running.update(batch)
        halves.append(running.result())
    whole = merge(halves)
    assert np.allclose(whole["mean"], rows.mean(axis=0)) and np.allclose(whole["std"], rows.std(axis=0))
    assert np.array_equal(whole["min"], rows.min(axis=0)) and whole["count"] == [4000]
    assert np.allclose(whole["q50"], np.median(rows, axis=0), atol=0.3)
