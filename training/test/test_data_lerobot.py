"""LeRobot's own code on our datasets. Runs only where the lerobot package is installed (see docs/data.md)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from wbvla_training.data.bench_dataset import Quiet
from wbvla_training.data.convert import ConvertOptions, convert
from wbvla_training.data.reader import EpisodeReader
from wbvla_training.data.samples import SampleEpisode, write_sample

lerobot = pytest.importorskip("lerobot", reason="optional: pip install --no-deps lerobot")
CHUNK = 8


def test_lerobot_reads_every_frame_as_we_do_and_its_act_policy_trains_on_them(tmp_path):
    import torch
    from lerobot.configs.types import FeatureType
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.datasets.utils import dataset_to_policy_features
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    episode = SampleEpisode(seconds=1.5, pictures=30)
    for i, name in enumerate("ab"):
        write_sample(tmp_path / f"bags/{name}", replace(episode, start_ns=episode.start_ns + i * 10**11))
    convert([tmp_path / "bags"], ConvertOptions(tmp_path / "data", jobs=1), Quiet())
    ours = EpisodeReader(tmp_path / "data", chunk=CHUNK)
    steps = {"action": [i / ours.index.fps for i in range(CHUNK)]}
    theirs = LeRobotDataset("local/data", root=tmp_path / "data", delta_timestamps=steps)
    assert len(theirs) == len(ours)
    for i in range(len(ours)):
        mine, item = ours[i], theirs[i]
        assert np.array_equal(item["observation.state"].numpy(), mine["observation.state"])
        assert np.array_equal(item["action"].numpy(), mine["action"])
        assert np.array_equal(item["action_is_pad"].numpy(), mine["action_is_pad"])
        assert item["task"] == mine["task"]
        for camera in ours.cameras:
            picture = (item[camera].permute(1, 2, 0).numpy() * 255).round().astype(int)
            assert np.abs(picture - mine[camera]).max() <= 2

    features = dataset_to_policy_features(theirs.meta.features)
    outputs = {name: f for name, f in features.items() if f.type is FeatureType.ACTION}
    inputs = {name: f for name, f in features.items() if name not in outputs}
    assert set(outputs) == {"action"} and set(inputs) == {"observation.state", *ours.cameras}
    config = ACTConfig(
        input_features=inputs, output_features=outputs, chunk_size=CHUNK, n_action_steps=CHUNK, dim_model=64,
        n_heads=2, dim_feedforward=64, n_encoder_layers=1, pretrained_backbone_weights=None, device="cpu",
    )  # fmt: skip
    policy = ACTPolicy(config).train()
    before, _ = make_pre_post_processors(config, dataset_stats=theirs.meta.stats)
    batch = next(iter(torch.utils.data.DataLoader(theirs, batch_size=2)))
    loss, _ = policy.forward(before(batch))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in policy.parameters() if p.grad is not None)
