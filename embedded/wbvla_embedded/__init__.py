"""What the embedded graph is made of below the rclpy API: interfaces, CDR, DDS, discovery, package registry."""

from __future__ import annotations

import sys

__all__ = ['install']


def install() -> None:
    """Make message packages (`std_msgs.msg`, `wbvla_msgs.srv`, ...) importable; harmless when repeated."""
    from .finder import InterfaceFinder

    if not any(isinstance(finder, InterfaceFinder) for finder in sys.meta_path):
        sys.meta_path.append(InterfaceFinder())
