"""Quantiser and model: gradients go straight through, dead codes come back, codes explain what changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from wbvla_training.lam.configuration import LamConfig, LamTraining, preset
from wbvla_training.lam.linear_probe import classify, explained, one_hot, regress
from wbvla_training.lam.measures import codebook_use, perplexity, quality
from wbvla_training.lam.modeling import LatentActionModel
from wbvla_training.lam.quantizer import Quantizer
from wbvla_training.lam.retrieval import across_domains
from wbvla_training.lam.train import schedule
from wbvla_training.lam.transport import Correlation, Transport, neighbourhood
from wbvla_training.vision.errors import VisionError


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors are slower on many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SMALL = LamConfig(tokens=2, codes=8, dim=8, width=32, encoder_depth=1, decoder_depth=1, heads=2, patches=9,
                  feature_width=12, mlp_ratio=2.0, restart_after=10)  # fmt: skip


def test_gradients_pass_the_quantiser_unchanged():
    torch.manual_seed(0)
    quantizer = Quantizer(8, 4, 0.99, 100).eval()
    latents = torch.randn(5, 2, 4, requires_grad=True)
    vectors, codes, _ = quantizer(latents)
    weights = torch.randn_like(vectors)
    (vectors * weights).sum().backward()
    torch.testing.assert_close(latents.grad, weights)
    torch.testing.assert_close(vectors.detach(), quantizer.lookup(codes))


def test_the_nearest_code_is_taken():
    quantizer = Quantizer(3, 2, 0.99, 100)
    quantizer.codebook.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 5.0]]))
    near = torch.tensor([[0.1, 0.2], [0.9, -0.1], [0.0, 3.0]])
    assert quantizer.nearest(near).tolist() == [0, 1, 2]


def test_the_codebook_follows_its_latents():
    torch.manual_seed(0)
    quantizer = Quantizer(2, 2, 0.8, 1000).train()
    centres = torch.tensor([[3.0, 0.0], [-3.0, 1.0]])
    quantizer.codebook.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    quantizer.sums.copy_(quantizer.codebook)
    quantizer.filled.fill_(True)
    for _ in range(60):
        quantizer(centres.repeat(20, 1) + 0.01 * torch.randn(40, 2))
    torch.testing.assert_close(quantizer.codebook, centres, atol=0.05, rtol=0.0)


def test_a_dead_code_is_restarted_among_the_latents():
    torch.manual_seed(0)
    quantizer = Quantizer(4, 2, 0.9, 5).train()
    latents = torch.randn(64, 2)
    quantizer(latents)
    quantizer.codebook[2] = quantizer.sums[2] = 1e3
    used = set()
    for _ in range(12):
        used = set(quantizer(latents)[1].tolist())
    assert used == {0, 1, 2, 3}
    assert float(quantizer.codebook.abs().max()) < 10.0


def test_latents_that_overflow_do_not_spoil_the_codebook():
    torch.manual_seed(0)
    quantizer = Quantizer(4, 2, 0.9, 5).train()
    latents = torch.randn(16, 2)
    quantizer(latents)
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    latents[3, 1] = float("inf")
    quantizer(latents)
    assert all(torch.equal(value, before[name]) for name, value in quantizer.state_dict().items())


def test_codes_come_to_explain_what_changed():
    torch.manual_seed(0)
    model = LatentActionModel(SMALL)
    moves = 2.0 * torch.randn(4, 9, 12)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)

    def pairs(seed):
        generator = torch.Generator().manual_seed(seed)
        first = torch.randn(32, 9, 12, generator=generator)
        return first, first + moves[torch.randint(4, (32,), generator=generator)]

    before = quality(model.eval(), [pairs(1000)])
    assert before.rrg == pytest.approx(0.0, abs=1e-6), "untrained, the decoder says that nothing changes"
    model.train()
    for step in range(120):
        out = model(*pairs(step))
        out.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = quality(model.eval(), [pairs(1000), pairs(1001)])
    assert after.rrg > 0.4 and after.rrg_shuffled < after.rrg - 0.3
    assert after.pairs == 64


def test_o_t_alone_does_not_decide_the_codes():
    torch.manual_seed(1)
    model = LatentActionModel(SMALL).eval()
    first = torch.randn(6, 9, 12)
    latents = model.latents(first, torch.randn(6, 9, 12)), model.latents(first, torch.randn(6, 9, 12))
    assert not torch.allclose(*latents, atol=1e-4)


def test_merged_patches_come_apart_again_in_their_places():
    config = replace(SMALL, patches=24, rows=4, merge=2)
    model = LatentActionModel(config).eval()
    features = torch.randn(3, 24, 12)
    merged = model._merge(features)
    assert merged.shape == (3, 6, 48)
    torch.testing.assert_close(merged[:, 0].reshape(3, 4, 12), features[:, [0, 1, 6, 7]])
    torch.testing.assert_close(model._split(merged), features)
    assert model.predict(features, model.encode(features, features)).shape == features.shape
    with pytest.raises(VisionError, match="do not divide into 2 x 2"):
        replace(SMALL, merge=2)


def test_codes_that_move_take_each_patch_from_where_they_point():
    torch.manual_seed(0)
    grid, reach = (4, 6), (1, 2)
    transport = Transport(grid, reach, 8).eval()
    index, there, _ = neighbourhood(grid, reach)
    left = next(r for r in range(15) if index[8, r] == 7 and there[8, r])
    with torch.no_grad():
        transport.places.weight.zero_()
        transport.places.bias.zero_()
        transport.places.bias.reshape(24, 15)[:, left] = 50.0
    features = torch.randn(2, 24, 5)
    moved = transport(features, torch.zeros(2, 2, 4)).reshape(2, 4, 6, 5)
    torch.testing.assert_close(moved[:, :, 1:], features.reshape(2, 4, 6, 5)[:, :, :-1])


def test_correlation_peaks_where_a_patch_came_from():
    torch.manual_seed(0)
    correlation = Correlation((4, 6), (1, 2), 32)
    first = torch.randn(1, 4, 6, 32)
    later = first.roll(1, dims=2)
    found = correlation(first.reshape(1, 24, 32), later.reshape(1, 24, 32))
    index, _, _ = neighbourhood((4, 6), (1, 2))
    best = index.gather(1, found[0].argmax(1, keepdim=True)).reshape(4, 6)
    assert (best[:, 2:] == torch.arange(24).reshape(4, 6)[:, 1:-1]).all()


def test_a_model_whose_codes_move_learns_and_passes_gradients_to_its_encoder():
    torch.manual_seed(0)
    model = LatentActionModel(replace(SMALL, patches=24, rows=4, merge=2, reach_rows=1, reach_columns=2))
    out = model(torch.randn(6, 24, 12), torch.randn(6, 24, 12))
    out.loss.backward()
    assert out.prediction.shape == (6, 24, 12)
    assert float(model.correlation_in.weight.grad.abs().max()) > 0.0
    assert float(model.transport.places.weight.grad.abs().max()) > 0.0


def test_use_and_perplexity_count_codes():
    assert codebook_use(torch.tensor([0, 1, 1, 3]), 8) == pytest.approx(3 / 8)
    assert perplexity(torch.tensor([2, 2, 2]), 16) == pytest.approx(1.0)
    assert perplexity(torch.arange(16), 16) == pytest.approx(16.0, rel=1e-5)


def test_linear_probes_read_what_is_linear_and_no_more():
    torch.manual_seed(0)
    codes = torch.randint(4, (400, 2))
    label = codes[:, 0]
    parity = (codes[:, 0] + codes[:, 1]) % 2
    inputs = one_hot(codes, 4)
    guess = classify(inputs[:300], label[:300], inputs[300:], 4)
    assert (guess == label[300:]).all()
    guess = classify(inputs[:300], parity[:300], inputs[300:], 2)
    assert (guess == parity[300:]).float().mean() < 0.75
    target = inputs @ torch.randn(8, 3)
    predicted = regress(inputs[:300], target[:300], inputs[300:], ridge=1e-3)
    assert explained(target[300:], predicted, target[:300]) > 0.99


def test_retrieval_finds_the_same_motion_in_the_other_domain():
    torch.manual_seed(0)
    labels = torch.arange(4).repeat(40)
    domain = torch.arange(160) // 80
    centres = torch.randn(4, 6) * 5.0
    names = ("a", "b", "c", "d")
    found = across_domains(centres[labels], labels, domain, names)
    assert found["precision_at_10"] == 1.0 and found["chance"] == pytest.approx(0.25)
    same = across_domains(torch.zeros(160, 6), labels, domain, names)
    assert same["precision_at_10"] == pytest.approx(0.25, abs=0.12)
    assert across_domains(centres[labels], labels, torch.zeros(160), names) == {}


def test_configurations_say_what_is_wrong():
    paper = preset("paper", (16, 16), 768)
    assert (paper.model.tokens, paper.model.codes, paper.model.dim, paper.model.width) == (4, 16, 128, 768)
    tiny = preset("tiny", (8, 8), 128).model
    assert tiny.tokens >= 4 and tiny.codes >= 16
    with pytest.raises(VisionError, match="there are tiny, paper"):
        preset("huge", (1, 1), 1)
    with pytest.raises(VisionError, match=r"LamTraining\.amp"):
        LamTraining(steps=1, batch=1, learning_rate=1.0, amp="int4")
    with pytest.raises(VisionError, match="multiple of the 5 heads"):
        LamConfig(
            tokens=1,
            codes=2,
            dim=2,
            width=32,
            encoder_depth=1,
            decoder_depth=1,
            heads=5,
            patches=4,
            feature_width=4,
        )


def test_the_learning_rate_warms_up_and_falls():
    training = LamTraining(steps=100, batch=1, learning_rate=1.0, warmup=10)
    rates = [schedule(step, training) for step in range(100)]
    assert rates[0] == pytest.approx(0.1, rel=0.01) and max(rates) > 0.95 and rates[-1] < 0.06
