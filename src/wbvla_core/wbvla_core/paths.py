"""Where shared files lie, in a source checkout and in an installed ROS 2 workspace alike."""

from __future__ import annotations

import os
from pathlib import Path


def checkout_root() -> Path | None:
    """Root of the source checkout this module runs from, or None when it is installed."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "src" / "wbvla_msgs" / "package.xml").is_file() else None


def models_dir() -> Path:
    """Folder of the shipped model bundles.

    ``WBVLA_MODELS`` wins, then the checkout's ``models/``, then ``share/wbvla_bringup/models`` of the workspaces in
    ``AMENT_PREFIX_PATH``.

    Raises:
        FileNotFoundError: none of them exists.
    """
    candidates = []
    if os.environ.get("WBVLA_MODELS"):
        candidates.append(Path(os.environ["WBVLA_MODELS"]))
    root = checkout_root()
    if root is not None:
        candidates.append(root / "models")
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix:
            candidates.append(Path(prefix) / "share" / "wbvla_bringup" / "models")
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    searched = ", ".join(str(candidate) for candidate in candidates) or "nothing"
    raise FileNotFoundError(
        f"no model bundles found (searched {searched}); set WBVLA_MODELS or source the workspace"
    )


def bundle_path(name: str | os.PathLike) -> Path:
    """A bundle by path, or by ``kind/name`` below :func:`models_dir` (``lmo/stand``)."""
    path = Path(name)
    return path if path.is_absolute() or path.exists() else models_dir() / path
