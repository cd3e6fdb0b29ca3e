"""Did a short training learn to step? The rule that x2_smoke is judged by."""

from __future__ import annotations

LEAST_EPISODE_STEPS = 400.0
LEAST_PHASE_SHARE = 0.75


def learned(row: dict[str, float], phase_weight: float = 3.0) -> int:
    """Exit code 0 when the last log ``row`` shows robots that stay up and lift their feet in time, 1 otherwise.

    A robot that stands still scores about 0.6 of the phase reward, so 0.75 needs real steps."""
    survived = 100.0 / max(row["falls_per_100_episodes"], 1e-9) * 1000.0
    phase = row["reward/gait_phase"] / phase_weight
    good = survived >= LEAST_EPISODE_STEPS and phase >= LEAST_PHASE_SHARE
    print(
        f"{'learned' if good else 'NOT learned'}: {min(survived, 1e5):.0f} steps between falls (at least "
        f"{LEAST_EPISODE_STEPS:.0f}), gait phase {phase:.2f} (at least {LEAST_PHASE_SHARE})"
    )
    return 0 if good else 1
