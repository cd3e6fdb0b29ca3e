"""A trained VLA's folder: ``config.json``, ``parts.json`` (the shapes of its parts), ``processor.json``,
``tokenizer.json``, ``model.safetensors``."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from wbvla_core.contract import Contract
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.vla_bundle import FLAG_ACTIONS, VELOCITY_ACTIONS, StatisticsSection

from .configuration import CONFIG_FILE, VlaConfig
from .errors import VlaError
from .modeling import VlaModel
from .parts import Parts, parts_of
from .processing import ProcessorFile, VlaProcessor, new_tokenizer

WEIGHTS_FILE, PARTS_FILE = "model.safetensors", "parts.json"


@dataclass(frozen=True)
class Vla:
    """A model with its configuration and processor."""

    config: VlaConfig
    processor: VlaProcessor
    model: VlaModel


def new_vla(config: VlaConfig, seed: int = 0, robot: str = "x2_ultra", contract: str = "x2") -> Vla:
    """A model that begins, for the states and actions of ``contract``; published parts are loaded by their source."""
    spec, agreed = RobotSpec.load(robot), Contract.load(contract)
    states = agreed.features["observation.state"].names
    actions = agreed.features["action"].names
    if not config.decoder.flags:
        actions = (*actions[:-4], *VELOCITY_ACTIONS)
    elif actions[-4:] != FLAG_ACTIONS:
        raise VlaError(f"contract {agreed.name}: action ends with {actions[-4:]}, expected {FLAG_ACTIONS}")
    tokenizer = new_tokenizer(config)
    about = ProcessorFile(
        config.image, config.tokenizer, tokenizer.hash, config.language.length, spec.name, spec.hash, agreed.hash,
        states, actions, _plain(len(states)), _plain(len(actions)),
    )  # fmt: skip
    torch.manual_seed(seed)
    model = VlaModel(config, tokenizer.size, tokenizer.pad, states, len(actions))
    return Vla(config, VlaProcessor(about, tokenizer), model)


def save_vla(folder: Path, vla: Vla, weights: dict[str, torch.Tensor] | None = None) -> None:
    """Write the folder; ``weights`` instead of the model's own."""
    folder.mkdir(parents=True, exist_ok=True)
    vla.config.save(folder)
    vla.processor.save(folder)
    (folder / PARTS_FILE).write_text(parts_text(vla.model), encoding="utf-8")
    found = weights if weights is not None else weights_of(vla.model)
    part = folder / (WEIGHTS_FILE + ".part")
    save_file({name: tensor.detach().contiguous().cpu() for name, tensor in found.items()}, part)
    part.replace(folder / WEIGHTS_FILE)


def load_vla(folder: str | Path, device: str = "cpu") -> Vla:
    """Read it back; raises VlaError naming the file and what is wrong."""
    folder = Path(folder)
    config = VlaConfig.load(folder / CONFIG_FILE)
    processor = VlaProcessor.load(folder)
    about = processor.about
    if about.image != config.image or about.length != config.language.length:
        raise VlaError(
            f"{folder}: processor.json prepares pictures of {about.image.width} px and {about.length} tokens, config.json "
            f"has {config.image.width} px and {config.language.length}; copy the whole checkpoint again"
        )
    # Its own weights follow, so the parts are only made, not loaded.
    model = VlaModel(
        without_sources(config), processor.tokenizer.size, processor.tokenizer.pad, about.state_names,
        len(about.action_names), read_parts(folder / PARTS_FILE),
    )  # fmt: skip
    load_weights(model, folder / WEIGHTS_FILE)
    return Vla(config, processor, model.to(device).eval())


def parts_text(model: VlaModel) -> str:
    """Content of ``parts.json``."""
    return json.dumps(parts_of(model.vision.dinov2, model.vision.siglip, model.language), indent=1) + "\n"


def read_parts(file: Path) -> Parts:
    """Read ``parts.json``; raises VlaError."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise VlaError(
            f"{file}: shapes of the model's parts cannot be read ({error}); copy the whole folder again"
        ) from None


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Named weights, shared ones once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def load_weights(model: torch.nn.Module, file: Path) -> None:
    """Put the weights of a file into ``model``; raises VlaError when one is missing, unknown or of another shape."""
    try:
        found = load_file(file)
    except FileNotFoundError:
        raise VlaError(f"{file}: not found; the weights are missing, copy the whole folder again") from None
    except (OSError, SafetensorError) as error:
        raise VlaError(f"{file}: weights cannot be read ({error}); copy the whole folder again") from None
    wanted = dict(model.named_parameters())
    for name, what in ((set(wanted) - set(found), "lacks"), (set(found) - set(wanted), "has unknown")):
        if name:
            raise VlaError(
                f"{file}: {what} {len(name)} weights, for example {sorted(name)[0]}; it is of another model"
            )
    with torch.no_grad():
        for name, parameter in wanted.items():
            if parameter.shape != found[name].shape:
                raise VlaError(
                    f"{file}: {name} is {list(found[name].shape)}, the configuration has {list(parameter.shape)}"
                )
            parameter.copy_(found[name].to(parameter.dtype))


def without_sources(config: VlaConfig) -> VlaConfig:
    """The same sizes, nothing to be fetched."""
    parts = {name: replace(getattr(config, name), source="") for name in ("dinov2", "siglip", "language")}
    return replace(config, **parts)


def _plain(size: int) -> StatisticsSection:
    return StatisticsSection((0.0,) * size, (1.0,) * size)
