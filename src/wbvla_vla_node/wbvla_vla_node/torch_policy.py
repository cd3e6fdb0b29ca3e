"""The torch backend: a bundle's safetensors weights instead of its ONNX files. Needs the training packages."""

from __future__ import annotations

from pathlib import Path

from wbvla_core.bundle import BundleError, load_bundle
from wbvla_core.robot_spec import RobotSpec

from wbvla_vla_node.bundle_policy import BundlePolicy


def load_torch_policy(path: Path, spec: RobotSpec, contract_hash: str | None, device: str) -> BundlePolicy:
    """The policy of the bundle folder ``path``, run by torch on ``device``.

    Raises:
        BundleError: as BundlePolicy, or torch or the training packages or the weights are missing.
    """
    bundle = load_bundle(path, "vla", spec, contract_hash)
    if not bundle.section.weights:
        raise BundleError(
            f"{path}: the bundle has no weights for torch; use backend:=bundle, or export it with weights"
        )
    try:
        from wbvla_training.vla.torch_networks import TorchNetworks
    except ModuleNotFoundError as error:
        raise BundleError(
            f"{path}: backend torch needs the Python package '{error.name}'; install the extra [train], "
            "or use backend:=bundle"
        ) from None
    policy = BundlePolicy(bundle, spec, TorchNetworks(bundle, device))
    policy.name = f"torch {bundle.name} on {device}"
    return policy
