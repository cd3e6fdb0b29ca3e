"""Made videos: repeatable, resumable, and nothing of what they show beside the pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.video import generate as generation
from wbvla_sim.video.arms import Arms
from wbvla_sim.video.handling import HANDLING, handle
from wbvla_sim.video.loco_clip import LocoFilm
from wbvla_sim.video.primitives import PERSON, PRIMITIVES, ROBOT, Segment, draw_script, walk

SPEC = RobotSpec.load("x2_ultra")


def test_scripts_show_all_primitives_and_never_rise_from_standing():
    seen = set()
    for seed in range(120):
        domain = (ROBOT, PERSON)[seed % 2]
        script, lowered = draw_script(np.random.default_rng(seed), domain, (4.2, 6.0))
        assert sum(segment.seconds for segment in script) <= 6.0
        for segment in script:
            seen.add(segment.primitive)
            lowered -= segment.up_m_s * segment.seconds
            assert -1e-6 <= lowered <= domain.fall_m + 1e-6, "a squat begins standing, a rise begins low"
    assert seen == set(PRIMITIVES)


@pytest.mark.parametrize(
    ("segment", "ahead", "left", "turned", "down"),
    [
        (Segment("advance", 2.0, ahead_m_s=0.5), 1.0, 0.0, 0.0, 0.0),
        (Segment("sidestep", 2.0, left_m_s=-0.3), 0.0, -0.6, 0.0, 0.0),
        (Segment("turn", 2.0, turn_rad_s=0.4), 0.0, 0.0, 0.8, 0.0),
        (Segment("squat_down", 2.0, up_m_s=-0.1), 0.0, 0.0, 0.0, 0.2),
    ],
)
def test_a_path_goes_where_its_script_says(segment, ahead, left, turned, down):
    path = walk(np.random.default_rng(0), [segment], 0.0, 10.0)
    last = 1.9 / 2.0
    np.testing.assert_allclose(path.xy_m[-1], [ahead * last, left * last], atol=0.02)
    assert path.yaw_rad[-1] == pytest.approx(turned * last, abs=0.02)
    assert path.lowered_m[-1] == pytest.approx(down * last, abs=0.01)


def test_handling_carries_the_thing_only_between_grasp_and_release():
    motion = handle(np.random.default_rng(1), np.array([0.4, 0.2, 0.1]), (0,), 0.03)
    assert np.isnan(motion.points_m[:, 1]).all(), "the other hand rests"
    for name in ("reach", "grasp", "release", "retract"):
        rows = motion.carried_m[motion.phase == HANDLING.index(name)]
        assert np.ptp(rows, axis=0).max() < 1e-9 or name == "reach"
    lift = motion.carried_m[motion.phase == HANDLING.index("lift")]
    assert lift[-1, 2] > 0.09 and motion.carried_m[-1, 2] == 0.0
    assert motion.opening[motion.phase == HANDLING.index("move")].max() < 0.2


def test_one_clip_is_the_same_for_the_same_seed_and_moves():
    poses = Arms(SPEC).ready_poses(np.random.default_rng(0), 1)
    film = LocoFilm(SPEC, poses)
    clips = [film.film(np.random.default_rng((7, 1))) for _ in range(2)]
    np.testing.assert_array_equal(clips[0].frames, clips[1].frames)
    assert clips[0].spans == clips[1].spans and clips[0].spans[-1].end == len(clips[0].frames)
    assert clips[0].frames.std() > 10.0
    change = np.abs(clips[0].frames[1:].astype(int) - clips[0].frames[:-1]).mean()
    assert 0.2 < change < 60.0


def test_a_stopped_run_goes_on_and_labels_lie_beside_the_videos(tmp_path):
    out = tmp_path / "clips"
    assert generation.generate(out, "mani", 1, seed=3) == 1
    first = (out / "clip_00000.mp4").read_bytes()
    labels = generation.labels_folder(out) / generation.LABELS_FILE
    labels.write_text(labels.read_text() + '{"clip": "clip_000', encoding="utf-8")
    assert generation.generate(out, "mani", 2, seed=3) == 1
    assert sorted(p.name for p in out.iterdir()) == ["clip_00000.mp4", "clip_00001.mp4"]
    assert (out / "clip_00000.mp4").read_bytes() == first
    rows = [json.loads(line) for line in labels.read_text().splitlines()]
    assert [row["clip"] for row in rows] == ["clip_00000.mp4", "clip_00001.mp4"]
    assert generation.generate(out, "mani", 2, seed=3) == 0
    with pytest.raises(ValueError, match="another folder or the same settings"):
        generation.generate(out, "mani", 3, seed=4)
