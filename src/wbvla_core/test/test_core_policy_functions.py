"""Ramp, gait clock, posture and observation: their rules, and that numpy and torch give the same numbers."""

import numpy as np
import pytest

from wbvla_core import action, gait, intent, observation, posture, ramp

CLOCK = gait.GaitConfig()
TABLE = posture.PostureTable(
    heights_m=(0.5, 0.55, 0.6),
    trunk_pitch_rad=(0.1, 0.05, 0.0),
    side=(0, 0, 1, 1, 2),
    joints_rad=((1, 2, 1, 2, 0), (2, 3, 2, 3, 0), (3, 4, 3, 4, 0)),
    swing_rad=((11, 2, 11, 2, 0), (12, 4, 12, 4, 0), (13, 6, 13, 6, 0)),
    gravity_nm=((5, 6, 5, 6, 0), (6, 7, 6, 7, 0), (7, 8, 7, 8, 0)),
)
OBSERVATION = observation.ObservationConfig(
    terms=(
        observation.Term("command"),
        observation.Term("height", 10.0, 0.6),
        observation.Term("angular_velocity", 0.25, history=2),
        observation.Term("gravity"),
        observation.Term("posture_error", history=3),
        observation.Term("joint_velocity", 0.05),
        observation.Term("last_action"),
        observation.Term("clock"),
        observation.Term("upper_position"),
    ),
    driven=(0, 1, 3, 4, 6),
    upper=(2, 5),
    default_rad=(0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.0),
)
PERMUTATION, SIGN = np.array([3, 4, 5, 0, 1, 2, 6]), np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0])


def run_ramp(s, cfg, steps=200):
    sbar = np.zeros((1, 3))
    for _ in range(steps):
        sbar = ramp.advance(sbar, s, cfg)
    return sbar


@pytest.mark.parametrize("form", ["filter", "tanh"])
def test_ramp_reaches_exactly_the_goal_speed(form):
    cfg = ramp.RampConfig(form=form)
    s = np.array([[1.0, -1.0, 0.0]])
    velocity = ramp.reference_velocity(run_ramp(s, cfg), s, cfg)
    np.testing.assert_allclose(velocity, [[0.4, -0.3, 0.0]], rtol=1e-12)


def test_literal_form_of_the_paper_is_a_pulse_that_dies_away():
    cfg = ramp.RampConfig(form="paper")
    s = np.array([[1.0, 0.0, 0.0]])
    assert ramp.reference_velocity(np.zeros((1, 3)), s, cfg)[0, 0] == pytest.approx(0.4 * np.tanh(2.0))
    assert ramp.reference_velocity(run_ramp(s, cfg), s, cfg)[0, 0] == 0.0


def test_continuous_velocity_becomes_a_request_of_the_same_form():
    cfg = ramp.RampConfig()
    s = ramp.request(np.array([[0.2, 0.3, -4.0]]), cfg)
    np.testing.assert_allclose(s, [[0.5, 1.0, -1.5]])
    np.testing.assert_allclose(ramp.reference_velocity(run_ramp(s, cfg), s, cfg), [[0.2, 0.3, -0.6]])


def test_height_is_slewed_and_stays_in_its_range():
    cfg = ramp.RampConfig()
    height = np.array([0.64])
    after_one = ramp.advance_height(height, np.array([0.0]), cfg)
    assert after_one[0] == pytest.approx(0.636)
    for _ in range(100):
        height = ramp.advance_height(height, np.array([0.0]), cfg)
    assert height[0] == pytest.approx(0.45)


def walk(flags, cfg=CLOCK, gravity=(0.0, 0.0, -1.0), rates=(0.0, 0.0, 0.0), place=(0.0, 0.0)):
    state, sbar = gait.GaitState.standing(np.zeros((1, 1))), np.zeros((1, 3))
    history = []
    for s in flags:
        s = np.array([s], float)
        sbar = ramp.advance(sbar, s, ramp.RampConfig())
        state = gait.advance(state, s, sbar, np.array([gravity]), np.array([rates]), np.array([place]), cfg)
        history.append(state)
    return history


def test_clock_runs_on_until_the_ramp_is_over_and_stops_in_double_support():
    history = walk([(1, 0, 0)] * 100 + [(0, 0, 0)] * 150)
    on = np.array([state.on[0] for state in history])
    assert on[:100].all() and not on[-1]
    last_on = np.flatnonzero(on)[-1]
    assert last_on > 100 + 30
    assert (np.diff(on.astype(int)) == -1).sum() == 1
    assert gait.foot_lift(history[last_on + 1].phase, np.array([True]), gait.GaitConfig()).max() < 1e-9


def test_capture_steps_start_on_tilt_only_when_standing_and_end():
    tilted = walk([(0, 0, 0)] * 5, gravity=(0.3, 0.0, -0.95))
    assert tilted[0].on[0] and tilted[-1].capture[0] == 26
    upright = walk([(0, 0, 0)] * 5)
    assert not upright[-1].on[0]
    state = tilted[0]
    still, up, zero = np.zeros((1, 3)), np.array([[0.0, 0.0, -1.0]]), np.zeros((1, 3))
    for _ in range(80):
        state = gait.advance(state, still, still, up, zero, np.zeros((1, 2)), gait.GaitConfig())
    assert not state.on[0]


def test_a_resting_robot_steps_when_it_is_too_far_from_its_place():
    cfg = gait.GaitConfig(return_m=0.1)
    assert walk([(0, 0, 0)], cfg, place=(0.08, -0.08))[0].on[0]
    assert not walk([(0, 0, 0)], cfg, place=(0.05, 0.05))[0].on[0]
    assert not walk([(0, 0, 0)], place=(0.5, 0.5))[0].on[0]


def place_after(state, steps, velocity, yaw_rate, request=(0.0, 0.0, 0.0)):
    up, rates = np.array([[0.0, 0.0, -1.0]]), np.array([[0.0, 0.0, yaw_rate]])
    for _ in range(steps):
        state = intent.advance(
            state, np.array([request]), np.array([0.6]), up, rates, np.array([velocity]), ramp.RampConfig(), CLOCK
        )
    return state


def test_the_place_of_rest_stays_where_it_is_while_the_robot_is_pushed_and_turned():
    rest = intent.Intent.standing(np.array([0.6]))
    pushed = place_after(rest, 50, (0.2, 0.0), 0.0)
    np.testing.assert_allclose(pushed.place_m, [[0.2, 0.0]], atol=0.006)
    turned = place_after(pushed, 50, (0.0, 0.0), np.pi / 2)
    np.testing.assert_allclose(turned.place_m, [[0.0, -0.19]], atol=0.01)
    assert abs(place_after(rest, 500, (0.5, 0.0), 0.0).place_m).max() == intent.PLACE_LIMIT_M
    assert not place_after(pushed, 1, (0.2, 0.0), 0.0, request=(1.0, 0.0, 0.0)).place_m.any()
    assert abs(place_after(pushed, 5000, (0.0, 0.0), 0.0).place_m).max() < 0.01


def test_gait_leads_with_the_foot_on_the_side_of_the_motion_when_asked_to():
    cfg = gait.GaitConfig(lead_foot="direction")
    assert walk([(0, 1, 0)], cfg)[0].phase[0] == 0.0
    assert walk([(0, -1, 0)], cfg)[0].phase[0] == 0.5
    assert walk([(0, 0, 0)], cfg, gravity=(0.0, -0.3, -0.95))[0].phase[0] == 0.5


def test_foot_lift_alternates_and_peaks_at_the_configured_height():
    phase = np.linspace(0, 1, 201)
    lift = gait.foot_lift(phase, np.ones(201, bool), gait.GaitConfig())
    assert lift.max(0) == pytest.approx([0.08, 0.08], abs=1e-4)
    assert lift.min(1).max() < 1e-9


def test_posture_reference_stands_on_the_longer_leg_and_shortens_the_other():
    q = posture.reference(TABLE, np.array([0.525, 0.7]), np.array([0.6, 0.4]))
    np.testing.assert_allclose(q, [[1.5, 1, 3, 4, 0], [3, 4, 1, 0, 0]])
    level = posture.reference(TABLE, np.array([0.525]), np.array([0.525]))
    np.testing.assert_allclose(level, [[1.5, 2.5, 1.5, 2.5, 0]])


def test_trunk_lean_shows_in_the_reference_gravity():
    np.testing.assert_allclose(
        posture.trunk_gravity(TABLE, np.array([0.5])), [[np.sin(0.1), 0, -np.cos(0.1)]]
    )


def test_uneven_table_and_unknown_term_are_refused_by_name():
    with pytest.raises(ValueError, match="even steps"):
        posture.PostureTable((0.5, 0.6, 0.65), ((1,),) * 3, ((1,),) * 3, ((1,),) * 3, (0, 0, 0), (0,))
    with pytest.raises(ValueError, match="'speed' is unknown"):
        observation.ObservationConfig((observation.Term("speed"),), (0,), (), (0.0,))


def random_world(rng, batch, xp=np.asarray):
    direction = rng.normal(size=(batch, 3))
    measured = observation.Measured(
        xp(rng.normal(size=(batch, 7))),
        xp(rng.normal(size=(batch, 7))),
        xp(direction / np.linalg.norm(direction, axis=1, keepdims=True)),
        xp(rng.normal(size=(batch, 3))),
        xp(rng.normal(size=(batch, 2))),
    )
    return (
        measured,
        xp(np.sign(rng.normal(size=(batch, 3)))),
        xp(rng.uniform(0.45, 0.66, batch)),
        xp(rng.normal(size=(batch, 5))),
    )


def pipeline(rng, xp, steps=8, batch=4):
    """Runs the whole chain a few steps; returns observation, targets and phase."""
    ramp_cfg, gait_cfg = ramp.RampConfig(), gait.GaitConfig(lead_foot="direction")
    act_cfg = action.ActionConfig((0.25,) * 5, (-1.0,) * 5, (3.5,) * 5)
    state = intent.Intent.standing(xp(np.full(batch, 0.6)))
    history = None
    for step in range(steps):
        measured, s, h, act = random_world(rng, batch, xp)
        state = intent.advance(
            state,
            s * float(step < 4),
            h,
            measured.gravity,
            measured.angular_velocity,
            measured.velocity,
            ramp_cfg,
            gait_cfg,
        )
        ref = observation.reference(state, TABLE, gait_cfg)
        new = observation.frame(measured, state, ref, act, TABLE, OBSERVATION)
        history = (
            observation.empty_history(new, OBSERVATION)
            if history is None
            else observation.push(history, new, state.gait.on & (s[:, 0] > 0))
        )
        target = action.joint_targets(action.clip_action(act, act_cfg), ref, act_cfg)
    velocity = ramp.reference_velocity(state.ramp, state.request, ramp_cfg)
    tau = posture.gravity_torque(TABLE, state.height_m)
    return observation.stack(history, OBSERVATION), target, state.gait.phase, velocity, tau


def test_torch_and_numpy_give_the_same_numbers():
    torch = pytest.importorskip("torch")
    ours = pipeline(np.random.default_rng(1), np.asarray)
    theirs = pipeline(np.random.default_rng(1), torch.as_tensor)
    for a, b in zip(ours, theirs, strict=True):
        assert isinstance(b, torch.Tensor)
        np.testing.assert_allclose(a, b.numpy(), atol=1e-12)


def test_single_precision_tensors_stay_single():
    torch = pytest.importorskip("torch")
    for value in pipeline(np.random.default_rng(1), lambda a: torch.as_tensor(a, dtype=torch.float32)):
        assert value.dtype == torch.float32


def test_stacked_observation_holds_each_term_newest_first():
    size = OBSERVATION.frame_size
    assert OBSERVATION.frames == 3 and OBSERVATION.size == size + 3 + 2 * 5
    history = np.arange(3 * size, dtype=float).reshape(1, 3, size)
    stacked = observation.stack(history, OBSERVATION)[0]
    np.testing.assert_array_equal(stacked[4:10], [4, 5, 6, size + 4, size + 5, size + 6])


def test_mirrored_world_gives_the_mirrored_observation():
    rng = np.random.default_rng(3)
    cfg, gait_cfg = OBSERVATION, gait.GaitConfig()
    measured, s, h, act = random_world(rng, 5)
    m_act, m_act_sign = observation.mirror_joints(cfg.driven, PERMUTATION, SIGN)
    half = intent.Intent(
        s,
        s,
        h,
        gait.GaitState(rng.uniform(size=5), np.ones(5, bool), np.zeros(5), np.zeros(5)),
        rng.normal(size=(5, 2)),
    )
    other = intent.Intent(
        s * [1, -1, -1],
        s * [1, -1, -1],
        h,
        gait.GaitState((half.gait.phase + 0.5) % 1.0, half.gait.on, half.gait.linger, half.gait.capture),
        half.place_m * [1, -1],
    )
    flipped = observation.Measured(
        SIGN * measured.position_rad[:, PERMUTATION],
        SIGN * measured.velocity_rad_s[:, PERMUTATION],
        measured.gravity * [1, -1, 1],
        measured.angular_velocity * [-1, 1, -1],
        measured.velocity * [1, -1],
    )
    # the table's roll-like column must be zero for a mirror-symmetric robot
    table = posture.PostureTable(
        TABLE.heights_m,
        ((1, 0, 1, 0, 0), (2, 0, 2, 0, 0), (3, 0, 3, 0, 0)),
        ((1, 0, 1, 0, 0), (2, 0, 2, 0, 0), (3, 0, 3, 0, 0)),
        TABLE.gravity_nm,
        TABLE.trunk_pitch_rad,
        TABLE.side,
    )
    symmetric = observation.ObservationConfig(
        cfg.terms, cfg.driven, cfg.upper, (0.1, 0.2, 0.3, 0.1, -0.2, 0.3, 0.0)
    )
    frames = [
        observation.frame(m, i, observation.reference(i, table, gait_cfg), a, table, symmetric)
        for m, i, a in ((measured, half, act), (flipped, other, m_act_sign * act[:, m_act]))
    ]
    stacks = [observation.stack(observation.empty_history(f, symmetric), symmetric) for f in frames]
    permutation, sign = observation.mirror(symmetric, PERMUTATION, SIGN)
    np.testing.assert_allclose(stacks[1], sign * stacks[0][:, permutation], atol=1e-12)
