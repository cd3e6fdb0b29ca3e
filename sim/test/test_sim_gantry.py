"""Gantry, pushes and the definition of a fall."""

import mujoco
import numpy as np
import pytest
from wbvla_sim.gantry import bar_height_m
from wbvla_sim.plant import PlantConfig

WEIGHT_N = 42.0 * 9.81


def test_hangs_still_with_its_feet_off_the_floor(bench):
    bench.run(2.0)
    plant = bench.plant
    assert plant.truth.hoisted and not plant.truth.fell
    assert plant.gantry.load_n == pytest.approx(WEIGHT_N, rel=0.03)
    assert plant.data.ncon == 0
    assert np.abs(plant.data.qvel[:6]).max() < 0.02


def test_bar_moves_at_its_speed_and_carries_the_robot_up_and_down(bench):
    plant = bench.plant
    bench.run(1.0)
    start = plant.gantry.height_m, plant.pelvis_height_m
    plant.gantry.hook(start[0] + 0.3, 0.2)
    bench.run(1.0)
    assert plant.gantry.height_m == pytest.approx(start[0] + 0.2, abs=0.002)
    bench.run(2.0)
    assert plant.pelvis_height_m - start[1] == pytest.approx(0.3, abs=0.02)
    plant.gantry.hook(bar_height_m(bench.spec, 0.50), 0.5)
    bench.activate()
    bench.hold(2.0)
    assert plant.gantry.load_n < 0.7 * WEIGHT_N, "the feet carry part of it"


def test_unhooked_and_limp_it_falls_and_the_fall_stays_known(bench):
    bench.run(0.5)
    bench.plant.gantry.unhook()
    assert np.isnan(bench.plant.truth.gantry_height_m)
    bench.run(3.0)
    truth = bench.plant.truth
    assert truth.fell and not truth.hoisted
    assert "floor" in truth.fall_reason or "base below" in truth.fall_reason
    bench.plant.gantry.hook(bar_height_m(bench.spec, 0.75), 1.0)
    bench.run(4.0)
    assert bench.plant.truth.hoisted and bench.plant.truth.fell
    bench.plant.reset(seed=0)
    assert not bench.plant.truth.fell


def test_hooked_and_limp_it_is_caught_by_the_rope(bench):
    bench.run(0.5)
    bench.plant.gantry.hook(bar_height_m(bench.spec, 0.55), 0.2)
    bench.run(5.0)
    assert bench.plant.truth.hoisted and not bench.plant.truth.fell


def test_starting_on_the_floor_puts_the_soles_there(make_bench):
    bench = make_bench(PlantConfig(hung=False))
    assert bench.plant._fall.lowest_sole_m(bench.plant.data) == pytest.approx(0.0, abs=1e-9)
    bench.run(0.02)
    assert bench.plant.data.ncon >= 1
    assert bench.plant.pelvis_height_m == pytest.approx(bench.spec.nominal_height_m, abs=0.02)


def test_gantry_refuses_what_a_gantry_cannot_do(bench):
    with pytest.raises(ValueError, match="height"):
        bench.plant.gantry.hook(9.0)
    with pytest.raises(ValueError, match="speed"):
        bench.plant.gantry.hook(1.7, 5.0)
    with pytest.raises(ValueError, match="height"):
        bench.plant.gantry.hook(float("nan"))


def test_a_push_gives_its_impulse_in_the_robots_own_direction(bench):
    plant = bench.plant
    plant.gantry.unhook()
    plant.data.qpos[2] += 2.0
    plant.data.qpos[3:7] = [np.cos(np.pi / 4), 0, 0, np.sin(np.pi / 4)]
    bench.run(0.01)
    before = momentum(plant)
    plant.push("pelvis", (80.0, 0.0, 0.0), 0.1)
    bench.run(0.102)
    change = momentum(plant) - before
    assert change[1] == pytest.approx(8.0, abs=0.05), "forward is +y after a quarter turn"
    assert change[0] == pytest.approx(0.0, abs=0.05)


def momentum(plant):
    mujoco.mj_subtreeVel(plant.model, plant.data)
    base = plant.model.body("pelvis").id
    return plant.model.body_subtreemass[base] * plant.data.subtree_linvel[base]


@pytest.mark.parametrize(
    ("body", "force", "duration", "text"),
    [
        ("tail", (1.0, 0.0, 0.0), 0.1, "no body"),
        ("torso_link", (np.nan, 0.0, 0.0), 0.1, "finite"),
        ("torso_link", (1.0, 0.0, 0.0), 99.0, "duration"),
    ],
)
def test_impossible_pushes_are_refused(bench, body, force, duration, text):
    with pytest.raises(ValueError, match=text):
        bench.plant.push(body, force, duration)
