"""Did a short training learn to step? The rule that x2_smoke is judged by, in words and as an exit code."""

from __future__ import annotations

LEAST_EPISODE_STEPS = 400.0
LEAST_PHASE_SHARE = 0.75


def verdict(row: dict[str, float], stopped: bool) -> int:
    """Print whether learning worked, and why; returns the exit code: 0 when it did, 1 when not or not judged.

    ``row`` last log row, empty when no iteration ran; ``stopped`` before the end by the user. A robot that stands still
    scores about 0.6 of the phase reward (weight 3), so 0.75 needs real steps; limp robots fall after some 50 steps."""
    if stopped or not row:
        print("x2_smoke: not judged, because it did not run to its end; run it again (without --resume)")
        return 1
    survived = 1e5 / max(row["falls_per_100_episodes"], 1.0)
    phase = row["reward/gait_phase"] / 3.0
    upright, stepping = survived >= LEAST_EPISODE_STEPS, phase >= LEAST_PHASE_SHARE
    figures = (
        f"{survived:.0f} control steps between falls (at least {LEAST_EPISODE_STEPS:.0f}), "
        f"{phase:.2f} of the gait reward (at least {LEAST_PHASE_SHARE})"
    )
    if upright and stepping:
        print(f"x2_smoke: learning works here: the robots stay up and step in time. {figures}")
        return 0
    wrong = " and ".join(
        text for good, text in ((upright, "fall too often"), (stepping, "do not step in time")) if not good
    )
    print(
        f"x2_smoke: NOT learned: the robots {wrong}. {figures}. With unchanged settings another --seed should pass; if it "
        "does not, look at reward/* in TensorBoard and run `wbvla bench lmo-env`"
    )
    return 1
