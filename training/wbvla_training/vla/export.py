"""From a trained VLA to the bundle that the node runs: ONNX by stages and safetensors, checked to be equal."""

from __future__ import annotations

import logging
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save as to_safetensors
from torch import nn
from wbvla_core.bundle import Bundle, dump, write_bundle
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.typed_json import to_json
from wbvla_core.vla_bundle import FLAG_CLASSES, CodebookSection, TokenizerSection, VlaSection
from wbvla_vla_node.networks import Outputs, StagedNetworks

from .errors import VlaError
from .files import PARTS_FILE, Vla, parts_text, without_sources
from .modeling import VlaModel
from .processing import TOKENIZER_FILE

TOLERANCE = 1e-4
"""Largest difference between torch and ONNX in the normalised action, the flags' logits and the codes' confidences."""
FILES = {"vision": "vision.onnx", "language": "language.onnx", "decoder": "decoder.onnx"}
WEIGHTS, MODEL, PARTS = "model.safetensors", "model.json", PARTS_FILE
OPSET = 18


@dataclass(frozen=True)
class Exported:
    """The bundle, its size [bytes] and the largest difference between torch and ONNX."""

    bundle: Bundle
    size: int
    difference: float


def export(vla: Vla, folder: Path, name: str, with_weights: bool = True) -> Exported:
    """Write the bundle and check it. Weights are rounded to 16 bits first, so that both forms hold the same numbers and
    the safetensors file is half as large. Raises VlaError when torch and ONNX differ by more than TOLERANCE."""
    config, about, model = vla.config, vla.processor.about, vla.model.float().cpu().eval()
    if not about.has_statistics:
        raise VlaError(
            "the model has no statistics of states and actions yet: fine-tune it on demonstrations first"
        )
    spec = RobotSpec.load(about.robot)
    if spec.hash != about.robot_spec_hash:
        raise VlaError(
            f"the model was trained for {about.robot} {about.robot_spec_hash}, this is {spec.hash}; train it again"
        )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    files = {FILES[stage]: content for stage, content in _networks(model, vla).items()}
    with TemporaryDirectory() as part:
        vla.processor.save(Path(part))
        files[TOKENIZER_FILE] = (Path(part) / TOKENIZER_FILE).read_bytes()
    if with_weights:
        files[WEIGHTS] = to_safetensors(
            {n: p.detach().half().contiguous() for n, p in model.named_parameters()}
        )
        files[MODEL] = dump(to_json(without_sources(config))).encode()
        files[PARTS] = parts_text(model).encode()
    section = VlaSection(
        networks=FILES,
        weights=WEIGHTS if with_weights else "",
        model=MODEL if with_weights else "",
        decoding=config.decoding,
        image=about.image,
        tokenizer=TokenizerSection(
            about.tokenizer, TOKENIZER_FILE, about.length, vla.processor.tokenizer.size, about.tokenizer_hash
        ),
        codebooks={n: CodebookSection(b.tokens, b.codes, b.hash) for n, b in config.codebooks.items()},
        state_names=about.state_names,
        action_names=about.action_names,
        flag_classes=FLAG_CLASSES if config.decoder.flags else (),
        chunk_length=config.decoder.chunk,
        chunk_step_s=config.decoder.step_s,
        state_statistics=about.state_statistics,
        action_statistics=about.action_statistics,
    )
    bundle = write_bundle(folder, "vla", name, section, files, spec, commit(), about.contract_hash)
    difference = compare(bundle, model)
    if difference > TOLERANCE:
        raise VlaError(
            f"{folder}: ONNX and torch differ by {difference:.2e} (limit {TOLERANCE}); do not use this bundle"
        )
    return Exported(bundle, sum(file.stat().st_size for file in folder.iterdir()), difference)


def compare(bundle: Bundle, model: VlaModel, samples: int = 4) -> float:
    """Largest difference between the bundle's ONNX files and ``model`` over random inputs."""
    section: VlaSection = bundle.section
    networks, largest = StagedNetworks(bundle), 0.0
    rng = np.random.default_rng(0)
    for _ in range(samples):
        image = rng.normal(size=(1, 3, section.image.height, section.image.width)).astype(np.float32)
        tokens = np.zeros((1, section.tokenizer.length), np.int64)
        tokens[0, 0] = 1
        words = int(rng.integers(1, section.tokenizer.length))
        tokens[0, 1:words] = rng.integers(2, section.tokenizer.size, words - 1)
        state = rng.normal(size=(1, len(section.state_names))).astype(np.float32)
        found = networks.run(image, tokens, state)
        largest = max(largest, _difference(model, found, image, tokens, state))
    return largest


def _difference(
    model: VlaModel, found: Outputs, image: np.ndarray, tokens: np.ndarray, state: np.ndarray
) -> float:
    with torch.no_grad():
        reading = model.choose(model.features(torch.from_numpy(image)), torch.from_numpy(tokens))
        decoded = model.act(reading, torch.from_numpy(state))
    pairs = [(found.action, decoded.action[0]), (np.float32(found.progress), decoded.progress[0, 0])]
    if found.flags is not None:
        pairs.append((found.flags, decoded.flags[0]))
    for name, logits in reading.logits.items():
        pairs.append((found.codes[name].confidence, logits[0].softmax(-1).max(-1).values))
    return max(float(np.abs(a - b.numpy()).max()) for a, b in pairs)


class _Language(nn.Module):
    def __init__(self, model: VlaModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: torch.Tensor, tokens: torch.Tensor, codes: torch.Tensor | None = None):
        reading = self.model.read(features, tokens, codes)
        return reading.hidden, reading.visual, *reading.logits.values()


class _Decoder(nn.Module):
    def __init__(self, model: VlaModel) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, hidden: torch.Tensor, visual: torch.Tensor, state: torch.Tensor):
        decoded = self.decoder(hidden, visual, state)
        return (decoded.action, decoded.progress) if decoded.flags is None else (
            decoded.action, decoded.progress, decoded.flags)  # fmt: skip


class _Vision(nn.Module):
    def __init__(self, model: VlaModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.model.features(image)


def _networks(model: VlaModel, vla: Vla) -> dict[str, bytes]:
    config, about = vla.config, vla.processor.about
    image = torch.zeros(1, 3, config.image.height, config.image.width)
    tokens = torch.ones(1, about.length, dtype=torch.long)
    state = torch.zeros(1, len(about.state_names))
    with torch.no_grad():
        features = model.features(image)
        codes = torch.zeros(1, config.code_tokens, dtype=torch.long)
        reading = model.read(features, tokens, codes)
    taken: tuple[torch.Tensor, ...] = (features, tokens)
    names = ["features", "tokens"]
    if config.decoding == "autoregressive":
        taken, names = (*taken, codes), [*names, "codes"]
    logits = [f"logits_{name}" for name in config.codebooks]
    decoded = ["action", "progress", "flags"] if config.decoder.flags else ["action", "progress"]
    return {
        "vision": _onnx(_Vision(model), (image,), ["image"], ["features"]),
        "language": _onnx(_Language(model), taken, names, ["hidden", "visual", *logits]),
        "decoder": _onnx(
            _Decoder(model), (reading.hidden, reading.visual, state), ["hidden", "visual", "state"], decoded
        ),
    }


def _onnx(module: nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str], outputs: list[str]) -> bytes:
    # The exporter tells of packages that nobody here needs, and of what is deprecated inside of torch.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            module.eval(), inputs, input_names=names, output_names=outputs, opset_version=OPSET, dynamo=True, verbose=False
        )  # fmt: skip
    assert program is not None
    program.optimize()
    proto = program.model_proto
    # Traces of the source would be a tenth of the file.
    for part in (proto, proto.graph, *proto.graph.node, *proto.graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    del proto.graph.value_info[:]
    return proto.SerializeToString()


def commit() -> str:
    """Short commit of the tree this code lies in; "unknown" outside git."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=Path(__file__).resolve().parent, capture_output=True, text=True,
            check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
