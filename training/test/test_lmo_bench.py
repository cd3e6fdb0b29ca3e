"""The environment benchmark measures both sides and writes its figures."""

import json

from wbvla_training.lmo.bench import main


def test_bench_writes_speed_ratio_and_training_speed(tmp_path):
    out = tmp_path / "bench.json"
    assert main(["--num-envs", "16", "--seconds", "0.2", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["env_steps_per_s"] > 0 and found["train_steps_per_s"] > 0
    assert abs(found["ratio"] - found["env_steps_per_s"] / found["rollout_steps_per_s"]) < 1e-9
