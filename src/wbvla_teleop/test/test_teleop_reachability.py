"""The reachability map: of this robot, true to its kinematics, and usable by tasks."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wbvla_teleop.frame import PELVIS, WristPose
from wbvla_teleop.ik import DualArmIk
from wbvla_teleop.reachability import ReachMap, ReachMapError, draw, make_map, save

sys.path.insert(0, str(Path(__file__).parent))
from teleop_samples import SPEC

LEFT, RIGHT = 0, 1


def test_the_packaged_map_says_what_is_in_reach_and_what_is_not():
    reach = ReachMap.load(SPEC)
    assert reach.at(LEFT, [0.35, 0.2, 0.2]) > 0.2 < reach.at(RIGHT, [0.35, -0.2, 0.2])
    assert reach.at(LEFT, [0.7, 0.2, 0.0]) == 0.0 == reach.at(LEFT, [9.0, 0.0, 0.0])
    assert reach.at(LEFT, [0.4, -0.4, 0.1]) == 0.0, "beyond the other side"
    assert reach.at(LEFT, [0.0, 0.0, 0.3]) == 0.0, "inside the trunk"


def test_both_hands_reach_alike_on_their_sides():
    reach = ReachMap.load(SPEC)
    left = (reach.dexterity[LEFT] > 0).sum()
    mirrored = (reach.dexterity[RIGHT][:, ::-1] > 0) & (reach.dexterity[LEFT] > 0)
    assert mirrored.sum() > 0.9 * left


def test_inverse_kinematics_comes_to_places_that_the_map_calls_easy():
    reach, ik = ReachMap.load(SPEC), DualArmIk(SPEC)
    hand = SPEC.hands[LEFT]
    reach_m = hand.finger_length_m * 0.7 - hand.xyz_m[2]
    random, tried = np.random.default_rng(0), 0
    while tried < 6:
        point = random.uniform([0.2, 0.1, 0.0], [0.45, 0.4, 0.5])
        if reach.at(LEFT, point) < 0.3:
            continue
        tried += 1
        ik.reset(SPEC.default_rad)
        for _ in range(200):
            wrist = ik.wrist(LEFT, PELVIS)
            # With a free attitude: the mount is asked to lie where the fingers then end at the point.
            away = wrist.position_m - point
            ik.solve(SPEC.default_rad, WristPose(point + away * reach_m / np.linalg.norm(away)), None, 0.02)
        assert np.linalg.norm(ik.wrist(LEFT, PELVIS).position_m - point) == pytest.approx(reach_m, abs=0.02)


def test_a_map_made_anew_is_within_the_packaged_one_and_survives_the_disk(tmp_path):
    made = make_map(SPEC, 2000)
    assert made.dexterity.shape == ReachMap.load(SPEC).dexterity.shape
    new = (made.dexterity > 0) & (ReachMap.load(SPEC).dexterity == 0)
    assert new.sum() < 0.02 * (made.dexterity > 0).sum()
    save(made, tmp_path / "map.npz")
    assert np.allclose(ReachMap.load(SPEC, tmp_path / "map.npz").dexterity, made.dexterity)
    draw(made, tmp_path / "map.png", SPEC.nominal_height_m)
    assert (tmp_path / "map.png").stat().st_size > 10_000


def test_a_map_of_another_robot_or_none_is_refused(tmp_path):
    save(replace(ReachMap.load(SPEC), robot_hash="other"), tmp_path / "other.npz")
    with pytest.raises(ReachMapError, match="of another"):
        ReachMap.load(SPEC, tmp_path / "other.npz")
    with pytest.raises(ReachMapError, match="make it with"):
        ReachMap.load(SPEC, tmp_path / "none.npz")
