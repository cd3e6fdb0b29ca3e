"""A bundle's network for many robots at once: the same ONNX file and observation that ``LmoController`` runs."""

from __future__ import annotations

from pathlib import Path

import torch
from wbvla_core.bundle import Bundle, load_bundle, onnx_session
from wbvla_core.lmo_bundle import LmoSection, observation_config
from wbvla_core.robot_spec import RobotSpec

Tensor = torch.Tensor


class BundlePolicy:
    """``policy(observations [N, O]) -> actions [N, m]``; ``section`` is what environment and controller are built from."""

    def __init__(self, path: str | Path, spec: RobotSpec) -> None:
        """Raises BundleError when the bundle is broken or made for another robot."""
        self.bundle: Bundle = load_bundle(path, "lmo", spec)
        self.section: LmoSection = self.bundle.section
        size = observation_config(self.section, spec).size
        self._session = onnx_session(
            self.bundle.file(self.section.network),
            {"observation": size},
            {"action": len(self.section.joints)},
        )

    def __call__(self, observations: Tensor) -> Tensor:
        """One batched run of the network."""
        return torch.from_numpy(self._session.run(None, {"observation": observations.float().numpy()})[0])
