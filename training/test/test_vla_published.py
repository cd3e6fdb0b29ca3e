"""Published parts load by folder in Hugging Face's layout, into the classes that tiny uses; what lacks a weight is
refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    LlamaConfig,
    LlamaForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

sys.path.insert(0, str(Path(__file__).parent))
from vla_training_samples import SIDE, toy_config
from wbvla_training.vla.configuration import paper, preset, tiny
from wbvla_training.vla.errors import VlaError
from wbvla_training.vla.files import load_vla, new_vla, save_vla
from wbvla_training.vla.modeling import parameters


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> dict[str, Path]:
    """Small checkpoints as their publishers lay them out; DINOv2 with registers, Llama with its own tokenizer."""
    root = tmp_path_factory.mktemp("published")
    torch.manual_seed(1)
    small = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "patch_size": 14,
        "image_size": SIDE,
    }
    Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**small, mlp_ratio=2)).save_pretrained(root / "dinov2")
    SiglipVisionModel(SiglipVisionConfig(**small, intermediate_size=64)).save_pretrained(root / "siglip")
    words = ["<unk>", "<s>", "touch", "the", "red", "blue", "ball", "with", "your", "left", "hand"]
    LlamaForCausalLM(
        LlamaConfig(vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                    intermediate_size=64, tie_word_embeddings=False)
    ).save_pretrained(root / "llama")  # fmt: skip
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(root / "llama" / "tokenizer.json"))
    return {name: root / name for name in ("dinov2", "siglip", "llama")}


def large_kind(published):
    """The paper's configuration at the sizes of these checkpoints."""
    config = toy_config()
    part = {"width": 32, "depth": 2, "heads": 2, "mlp": 64, "layer": -2}
    return replace(
        config,
        dinov2=replace(config.dinov2, source=str(published["dinov2"]), **part),
        siglip=replace(config.siglip, source=str(published["siglip"]), **part),
        language=replace(config.language, source=str(published["llama"]), depth=2, attention="causal"),
        tokenizer="huggingface",
    )


def test_published_weights_are_in_the_model_and_new_tokens_beside_them(published):
    vla = new_vla(large_kind(published))
    llama = load_file(published["llama"] / "model.safetensors")
    embedded = dict(vla.model.language.named_parameters())["model.embed_tokens.weight"]
    assert torch.equal(embedded[:11], llama["model.embed_tokens.weight"])
    assert embedded.shape[0] == 11 + 4 + 4 + 4
    dino = load_file(published["dinov2"] / "model.safetensors")
    assert torch.equal(vla.model.vision.dinov2.embeddings.register_tokens, dino["embeddings.register_tokens"])
    image, tokens = (
        torch.zeros(1, 3, SIDE, SIDE),
        torch.from_numpy(vla.processor.tokens("touch the red ball"))[None],
    )
    assert vla.model.vision(image).shape == (1, 16, 64)
    reading, _ = vla.model(image, tokens, None)
    assert reading.hidden.shape == (1, 4, 32) and reading.visual.shape == (1, 16, 32)


def test_trained_model_of_published_parts_is_saved_and_loaded_whole(published, tmp_path):
    vla = new_vla(large_kind(published))
    save_vla(tmp_path / "model", vla)
    again = load_vla(tmp_path / "model")
    inputs = torch.ones(1, 3, SIDE, SIDE), torch.ones(1, 12, dtype=torch.long), torch.zeros(1, 36)
    vla.model.eval()
    with torch.no_grad():
        assert torch.equal(vla.model(*inputs)[1].action, again.model(*inputs)[1].action)


def test_checkpoint_without_a_weight_is_refused_naming_it(published, tmp_path):
    import shutil

    folder = shutil.copytree(published["siglip"], tmp_path / "siglip")
    weights = load_file(folder / "model.safetensors")
    gone = sorted(weights)[0]
    save_file({k: v for k, v in weights.items() if k != gone}, folder / "model.safetensors", {"format": "pt"})
    config = large_kind(published)
    with pytest.raises(VlaError, match="lacks 1 weights"):
        new_vla(replace(config, siglip=replace(config.siglip, source=str(folder))))


def test_folder_that_is_not_there_is_refused(published, tmp_path):
    config = large_kind(published)
    with pytest.raises(VlaError, match=r"DINOv2 cannot be loaded from '.*nowhere'"):
        new_vla(replace(config, dinov2=replace(config.dinov2, source=str(tmp_path / "nowhere"))))


def test_tiny_keeps_to_its_size_and_paper_to_prismatics():
    vla = new_vla(tiny())
    assert parameters(vla.model) <= 5_000_000
    from torch.utils.flop_counter import FlopCounterMode

    image, tokens = torch.zeros(1, 3, 112, 112), torch.ones(1, tiny().language.length, dtype=torch.long)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        vla.model(image, tokens, torch.zeros(1, 36))
    assert counter.get_total_flops() <= 0.35e9
    large = paper()
    assert (
        large.patches == 256
        and large.dinov2.width + large.siglip.width == 2176
        and large.language.width == 4096
    )
    with pytest.raises(VlaError, match="no configuration 'huge'"):
        preset("huge")
