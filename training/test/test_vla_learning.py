"""A VLA learns what its sentence names, in seconds; a killed run goes on to the same losses; every way of fine-tuning
changes what it says it changes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from vla_training_samples import ACTIONS, CONTRACT, ROWS, SPEC, toy_config, toy_examples
from wbvla_training.vla.batches import Augmentation, Batches, Part, augment
from wbvla_training.vla.demos import pauses, rests
from wbvla_training.vla.errors import VlaError
from wbvla_training.vla.evaluate import arm_columns, figures
from wbvla_training.vla.files import Vla, load_vla, new_vla, save_vla
from wbvla_training.vla.finetune import freeze, with_statistics
from wbvla_training.vla.lora import LoraOptions, merged, with_lora
from wbvla_training.vla.losses import LossWeights, class_weights
from wbvla_training.vla.mirror import mirror_of, mirror_pictures, mirror_sentence
from wbvla_training.vla.pretrain import code_losses
from wbvla_training.vla.scaling import ScalingOptions, plot, read_all, train_decoder
from wbvla_training.vla.trainer import LOG_FILE, Schedule, Trainer, run_about

SCHEDULE = Schedule(
    steps=250, batch=32, lr=2e-3, warmup=10, weight_decay=0.0, ema=0.9, amp=False, log_every=1
)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return toy_examples(tmp_path_factory.mktemp("toy") / "examples")


def begin(examples, config=None) -> Vla:
    rows = np.arange(len(examples))
    return with_statistics(new_vla(config or toy_config()), [(examples, rows)], {"mani": "m1", "loco": "l1"})


def trainer_of(vla, examples, out, schedule=SCHEDULE, module=None, augmentation=None) -> Trainer:
    rows = np.arange(len(examples))
    batches = Batches([Part(examples, rows, 1.0)], vla.processor, schedule.batch, schedule.seed, augmentation)
    flags = torch.from_numpy(np.rint(examples.action[rows][:, :, -4:-1]) + 1)
    loss = code_losses(LossWeights(), class_weights(flags))
    return Trainer(module or vla.model, batches.draw, loss, schedule, out, run_about(schedule, what="test"))


def test_actions_codes_and_flags_follow_the_named_object(examples, tmp_path):
    vla = begin(examples)
    trainer = trainer_of(vla, examples, tmp_path / "run")
    before = figures(vla, examples, np.arange(len(examples)))
    last = trainer.run()
    save_vla(tmp_path / "model", vla, trainer.averaged())
    learned = load_vla(tmp_path / "model")
    after = figures(learned, examples, np.arange(len(examples)))
    assert last["codes_mani"] < 1.1 < np.log(4)
    assert after["flag_accuracy"] > 0.85 > 0.6 > before["flag_accuracy"]
    assert after["arm_error_rad"] < before["arm_error_rad"]
    # The other square, named, is elsewhere: the sentence decides, not the picture alone.
    batches = Batches([Part(examples, np.arange(len(examples)), 1.0)], learned.processor, 8, 0, None)
    batch = batches.take(np.arange(20))
    other = torch.from_numpy(learned.processor.tokens(examples.sentences[1])).expand(20, -1)
    with torch.no_grad():
        _, asked = learned.model(batch.image, batch.tokens, batch.state)
        _, swapped = learned.model(batch.image, other, batch.state)
    assert float((asked.action[:, 0, 0] - swapped.action[:, 0, 0]).abs().mean()) > 0.5


def test_killed_run_goes_on_to_the_same_losses(examples, tmp_path):
    schedule = replace(SCHEDULE, steps=8, save_every=3)
    config = toy_config(decoder=replace(toy_config().decoder, state_dropout=0.2))
    whole = trainer_of(
        begin(examples, config), examples, tmp_path / "whole", schedule, augmentation=Augmentation()
    )
    whole.run()
    # Killed after step 5: what was saved last is the state after step 3.
    killed = trainer_of(
        begin(examples, config), examples, tmp_path / "killed", schedule, augmentation=Augmentation()
    )
    killed.save = lambda save=killed.save: save() if killed.step == 3 else None
    killed.run(until=5)
    again = trainer_of(
        begin(examples, config), examples, tmp_path / "killed", schedule, augmentation=Augmentation()
    )
    assert again.resume() and again.step == 3
    again.run()

    def rows(folder):
        lines = (tmp_path / folder / LOG_FILE).read_text().splitlines()
        return [(row["step"], row["total"]) for row in map(json.loads, lines)]

    assert rows("whole") == rows("killed")
    for name, tensor in whole.averaged().items():
        assert torch.equal(tensor, again.averaged()[name]), name


def test_another_run_is_not_gone_on_with(examples, tmp_path):
    trainer_of(begin(examples), examples, tmp_path, replace(SCHEDULE, steps=1)).run()
    other = trainer_of(begin(examples), examples, tmp_path, replace(SCHEDULE, steps=1, lr=1e-4))
    with pytest.raises(VlaError, match="lr differ"):
        other.resume()
    # What an older version did not note down cannot be compared.
    state = json.loads((tmp_path / "state.json").read_text())
    del state["run"]["lr"]
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert other.resume()


def test_a_gradient_that_is_not_finite_ends_the_run_and_leaves_what_was_saved(examples, tmp_path):
    vla = begin(examples)
    trainer_of(vla, examples, tmp_path, replace(SCHEDULE, steps=4, save_every=1)).run(until=1)
    broken = trainer_of(vla, examples, tmp_path, replace(SCHEDULE, steps=4, save_every=1))
    assert broken.resume()
    losses = broken._losses
    broken._losses = lambda module, batch: {"total": losses(module, batch)["total"] * float("nan")}
    with pytest.raises(VlaError, match="step 2: the gradient is not finite"):
        broken.run()
    assert json.loads((tmp_path / "state.json").read_text())["step"] == 1
    assert all(torch.isfinite(p).all() for p in vla.model.parameters())


def test_frozen_backbone_trains_the_decoder_only_and_lora_merges_into_plain_weights(examples, tmp_path):
    vla = begin(examples)
    start = {name: p.detach().clone() for name, p in vla.model.named_parameters()}
    freeze(vla.model)
    trainer = trainer_of(vla, examples, tmp_path / "frozen", replace(SCHEDULE, steps=2))
    trainer.run()
    moved = {n.split(".")[0] for n, p in vla.model.named_parameters() if not torch.equal(p, start[n])}
    assert moved == {"decoder"}

    vla = begin(examples)
    adapted = with_lora(vla.model, LoraOptions(rank=2, alpha=4))
    trainer = trainer_of(
        vla, examples, tmp_path / "lora", replace(SCHEDULE, steps=3, ema=0.0), module=adapted
    )
    trainer.run()
    batch = Batches([Part(examples, np.arange(8), 1.0)], vla.processor, 8, 0, None).take(np.arange(8))
    adapted.eval()
    with torch.no_grad():
        _, wanted = adapted(batch.image, batch.tokens, batch.state)
    save_vla(tmp_path / "merged", vla, merged(adapted, trainer.averaged()))
    plain = load_vla(tmp_path / "merged")
    with torch.no_grad():
        _, found = plain.model(batch.image, batch.tokens, batch.state)
    torch.testing.assert_close(found.action, wanted.action, atol=1e-4, rtol=1e-3)
    changed = [n for n, p in plain.model.named_parameters() if not torch.equal(p, start[n])]
    assert any(n.startswith("vision.") for n in changed) and any(n.startswith("language.") for n in changed)


def test_autoregressive_codes_see_only_those_before_them(examples):
    config = toy_config(
        decoding="autoregressive", language=replace(toy_config().language, attention="causal")
    )
    vla = begin(examples, config)
    batch = Batches([Part(examples, np.arange(4), 1.0)], vla.processor, 4, 0, None).take(np.arange(4))
    vla.model.eval()
    with torch.no_grad():
        features = vla.model.features(batch.image)
        codes = torch.zeros(4, 4, dtype=torch.long)
        one = vla.model.read(features, batch.tokens, codes)
        codes[:, 2] = 3
        two = vla.model.read(features, batch.tokens, codes)
        chosen = vla.model.choose(features, batch.tokens)
    assert torch.equal(one.hidden[:, :3], two.hidden[:, :3])
    assert not torch.equal(one.hidden[:, 3], two.hidden[:, 3])
    assert chosen.logits["loco"].shape == (4, 2, 4)


def test_figures_are_compared_with_the_commonest_flags_of_what_was_learned(examples):
    rows = np.arange(20)
    flags = np.asarray(examples.action)[..., -4:-1]
    left = (flags == [-1.0, 0.0, 0.0]).all(axis=-1)
    assert not (flags == 0.0).all(axis=-1).any(), "standing still is never right here"
    for commonest in (left, ~left):
        found = figures(begin(examples), examples, rows, learned=np.flatnonzero(commonest.all(axis=1)))
        assert found["majority_flag_accuracy"] == pytest.approx(commonest[rows].mean())


def test_arm_joints_are_found_by_name_wherever_they_are():
    about = new_vla(toy_config()).processor.about
    turned = replace(about, action_names=(*about.action_names[:16][::-1], *about.action_names[16:]))
    assert arm_columns(about) == list(range(14)) and arm_columns(turned) == list(range(2, 16))


def test_a_size_that_the_encoder_cannot_have_is_refused():
    config = toy_config(dinov2=replace(toy_config().dinov2, mlp=80))
    with pytest.raises(VlaError, match="mlp is 80; a DINOv2 needs a multiple of its width 32"):
        new_vla(config)


def test_encoders_that_see_other_patches_are_refused():
    with pytest.raises(ValueError, match=r"dinov2\.patch 14 and siglip\.patch 28 must be equal"):
        toy_config(siglip=replace(toy_config().siglip, patch=28))


def test_velocities_can_be_decoded_instead_of_flags(examples):
    config = toy_config(decoder=replace(toy_config().decoder, flags=False))
    vla = new_vla(config)
    assert vla.processor.about.action_names[-4:] == ("v_x", "v_y", "w_z", "h")
    found = figures(begin(examples, config), examples, np.arange(10))
    assert "flag_accuracy" not in found and found["arm_error_rad"] > 0.0
    assert vla.model.decoder.flags is None and vla.model.decoder.action.out_features == ROWS * ACTIONS


def test_pause_after_a_walk_is_cut_and_no_other():
    flags = np.zeros((30, 3))
    flags[5:10, 0] = 1.0
    flags[16:18, 1] = -1.0
    cut = pauses(flags, 4)
    assert np.flatnonzero(cut).tolist() == [10, 11, 12, 13, 18, 19, 20, 21]
    assert not pauses(np.zeros((10, 3)), 4).any()


def test_only_frames_in_which_nothing_is_asked_and_nothing_moves_are_rest():
    action, state = np.zeros((40, 5)), np.zeros((40, 4))
    action[10:, 0] = 0.3  # a joint is sent away,
    state[10:20, 0] = np.linspace(0.0, 0.28, 10)  # and takes a third of a second to get there
    state[20:, 0] = 0.3
    action[30:, -1] = 0.01 * np.arange(10)  # then the height changes slowly
    waiting = rests(action, state, 6)
    assert waiting[6:10].all()
    assert not waiting[10:25].any() and waiting[26:30].all()
    assert not waiting[31:].any() and not waiting[:6].any()


def test_rare_flags_weigh_more():
    flags = torch.ones(100, 1, 3)
    flags[:4, 0, 1] = 0
    weight = class_weights(flags)
    assert weight[1, 0] > 2 * weight[1, 1] and weight.max() <= 4.0


def test_pictures_vary_but_named_colours_stay_apart():
    rng = np.random.default_rng(0)
    for colour in ((217, 31, 26), (26, 158, 51), (31, 77, 217), (242, 204, 26)):
        varied = (
            augment(np.full((64, 8, 8, 3), colour, np.uint8), Augmentation(), rng)
            .astype(float)
            .mean(axis=(1, 2))
        )
        assert varied.std() > 0
        others = np.array([(217, 31, 26), (26, 158, 51), (31, 77, 217), (242, 204, 26)], float)
        direction = varied / np.linalg.norm(varied, axis=1, keepdims=True)
        nearest = (direction @ (others / np.linalg.norm(others, axis=1, keepdims=True)).T).argmax(axis=1)
        assert (others[nearest] == colour).all()


def test_blur_takes_fine_detail_and_leaves_what_is_large():
    only_blur = Augmentation(shift_px=0, brightness=0.0, contrast=0.0, tint=0.0, noise=0.0, blur=1.0)
    fine, coarse = np.zeros((16, 8, 8, 3), np.uint8), np.zeros((16, 8, 8, 3), np.uint8)
    fine[:, ::2], coarse[:, :4] = 200, 200
    varied = augment(fine, only_blur, np.random.default_rng(0)).astype(float)
    assert varied[:, 2:6].std(axis=(1, 2, 3)).min() < 30 and abs(varied[:, 2:6].mean() - 100) < 1
    kept = augment(coarse, only_blur, np.random.default_rng(0))
    assert (kept[:, 0] == 200).all() and (kept[:, -1] == 0).all()


def test_mirror_image_of_a_demonstration_is_the_mirrored_robots():
    names = CONTRACT.features["action"].names
    action = np.zeros((1, 1, 20), np.float32)
    for name, value in (
        ("left_shoulder_roll_joint", 0.3),
        ("left_elbow_joint", -1.0),
        ("s_y", 1.0),
        ("s_x", 1.0),
    ):
        action[..., names.index(name)] = value
    turned = dict(zip(names, mirror_of(names, SPEC)(action)[0, 0].tolist(), strict=True))
    assert (
        turned["right_shoulder_roll_joint"] == pytest.approx(-0.3)
        and turned["left_shoulder_roll_joint"] == 0.0
    )
    assert turned["right_elbow_joint"] == -1.0 and (turned["s_x"], turned["s_y"]) == (1.0, -1.0)
    states = CONTRACT.features["observation.state"].names
    twice = mirror_of(states, SPEC)
    values = np.arange(36, dtype=np.float32)
    assert np.array_equal(twice(twice(values)), values)
    assert mirror_sentence("Touch the ball with your LEFT hand") == "Touch the ball with your right hand"
    picture = np.zeros((1, 4, 6, 3), np.uint8)
    picture[:, :, 1] = 9
    assert mirror_pictures(picture, 1)[0, 0, :, 0].tolist() == [0, 0, 0, 9, 0, 0]


def test_decoders_on_cached_states_learn_and_leave_the_rest_alone(examples, tmp_path):
    vla = begin(examples)
    start = {n: p.detach().clone() for n, p in vla.model.named_parameters() if not n.startswith("decoder.")}
    rows = np.arange(len(examples))
    before = figures(vla, examples, rows)
    options = ScalingOptions(Path("unused"), {}, steps=60, batch=32, lr=3e-3)
    trained = train_decoder(vla, examples, rows, read_all(vla, examples), options)
    after = figures(trained, examples, rows)
    assert after["arm_error_rad"] < before["arm_error_rad"]
    assert after["height_error_m"] < before["height_error_m"]
    assert all(torch.equal(p, start[n]) for n, p in trained.model.named_parameters() if n in start)
    plot(
        {"with": {"25": before, "50": after}, "without": {"25": before, "50": before}},
        tmp_path / "scaling.png",
    )
    assert (tmp_path / "scaling.png").stat().st_size > 5000
