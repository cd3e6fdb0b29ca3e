"""A trained VLA's folder: ``config.json``, ``parts.json`` (the shapes of its parts), ``processor.json``,
``tokenizer.json``, ``model.safetensors``. A bundle with weights holds the same in the robot's form."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from wbvla_core.bundle import FILE_NAME, Bundle, BundleError, load_bundle
from wbvla_core.contract import Contract
from wbvla_core.paths import bundle_path
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.tokenizer import TokenizerError, load_tokenizer
from wbvla_core.vla_bundle import FLAG_ACTIONS, VELOCITY_ACTIONS, StatisticsSection, VlaSection

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
    """Read it back, or a bundle that was exported with weights (they are rounded to 16 bits); raises VlaError naming
    the file and what is wrong."""
    folder = Path(folder)
    bundle = bundle_of(folder)
    config = load_config(folder)
    processor = VlaProcessor.load(folder) if bundle is None else _processor_of(bundle)
    about = processor.about
    if about.image != config.image or about.length != config.language.length:
        raise VlaError(
            f"{folder}: prepares pictures of {about.image.width} px and {about.length} tokens, but the model takes "
            f"{config.image.width} px and {config.language.length}; copy the whole folder again"
        )
    # Its own weights follow, so the parts are only made, not loaded.
    model = VlaModel(
        without_sources(config), processor.tokenizer.size, processor.tokenizer.pad, about.state_names,
        len(about.action_names), read_parts(folder / PARTS_FILE),
    )  # fmt: skip
    load_weights(model, folder / WEIGHTS_FILE)
    return Vla(config, processor, model.to(device).eval())


def start_folder(asked: Path | None) -> Path | None:
    """The folder that is meant: a shipped bundle may be called by kind/name."""
    if asked is None or asked.exists():
        return asked
    shipped = bundle_path(asked)
    return shipped if shipped.exists() else asked


def load_config(folder: Path) -> VlaConfig:
    """Configuration of the VLA in ``folder``, a run's or a bundle; raises VlaError."""
    bundle = bundle_of(folder)
    return VlaConfig.load(folder / CONFIG_FILE if bundle is None else bundle.file(bundle.section.model))


def bundle_of(folder: Path) -> Bundle | None:
    """The bundle in ``folder``; None when it holds a run's model. Raises VlaError when nothing can be learned from it."""
    if not (folder / FILE_NAME).exists():
        return None
    try:
        bundle = load_bundle(folder, "vla", None)
    except BundleError as error:
        raise VlaError(str(error)) from None
    if not bundle.section.weights:
        raise VlaError(f"{folder}: the bundle has no weights to start from; export it with --weights, or give the run")
    return bundle


def _processor_of(bundle: Bundle) -> VlaProcessor:
    section: VlaSection = bundle.section
    about = ProcessorFile(
        section.image, section.tokenizer.kind, section.tokenizer.hash, section.tokenizer.length, bundle.robot,
        bundle.robot_spec_hash, bundle.contract_hash, section.state_names, section.action_names,
        section.state_statistics, section.action_statistics,
    )  # fmt: skip
    try:
        tokenizer = load_tokenizer(bundle.file(section.tokenizer.file), section.tokenizer.kind)
    except TokenizerError as error:
        raise VlaError(str(error)) from None
    return VlaProcessor(about, tokenizer)


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
