"""What a step of the tiny configuration takes on one free core of two, from figures measured for ``docs/``.

Seconds; the machine was an AMD EPYC. They are for planning: a step tells its own wall clock when it is done."""

from __future__ import annotations

CLIP_S = 0.25
"""A clip of 4 to 6 s (docs/lam.md: 0.2 to 0.3 s)."""
BACKBONE_STEP_S = 0.32
"""64 frames of 112 px, forward and backward (2500 steps in 800 s)."""
FEATURES_CLIP_S = 0.1
"""Features of a clip's frames (docs/lam.md: 80 s for 800 clips)."""
LAM_STEP_S = 0.16
"""64 pairs (1500 steps in 4 minutes)."""
PROBE_S = 300.0
PICTURE_S = 0.012
"""A grounding picture (docs/vla.md)."""
VLA_EXAMPLE_S = 1.0 / 104.0
"""An example of pretraining or fine-tuning (docs/vla.md: 207 a second by two processes)."""
EPISODE_S = {"reach_table": 8.0, "box_loading": 18.0, "cart_pushing": 14.0}
"""A recorded demonstration, pictures rendered (docs/tasks.md: 13 s a trial without)."""
CONVERT_S = 1.5
"""A bag."""
TRIAL_S = {"reach_table": 25.0, "box_loading": 36.0, "cart_pushing": 36.0}
"""A trial of a policy that runs into the time limit, 2.5 times real time."""
OPERATOR_S = {"reach_table": 6.0, "box_loading": 13.0, "cart_pushing": 10.0}
"""A trial of the operator (docs/tasks.md)."""
START_S = 15.0
"""Imports and loading of anything."""
