"""What goes wrong with video, backbones and latent action models, said once and clearly."""

from __future__ import annotations


class VisionError(ValueError):
    """A video folder, backbone or latent action model cannot be used; the text names the file and what to do."""
