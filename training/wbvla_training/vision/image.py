"""Pictures to model input, by the very function that the robot uses; and the section that says how, as a file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from wbvla_core.vla_bundle import ImageSection
from wbvla_core.vla_input import scale_pictures, shrink_picture

from wbvla_training.vision.errors import VisionError

IMAGE_FILE = "image.json"
# Statistics of ImageNet, which every DINOv2 checkpoint was trained with.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def whole_picture(size_px: int) -> ImageSection:
    """The whole picture, squeezed to ``size_px`` square, in ImageNet's scale."""
    return ImageSection((0.0, 0.0, 1.0, 1.0), size_px, size_px, IMAGENET_MEAN, IMAGENET_STD)


def small_pictures(rgb: np.ndarray, image: ImageSection) -> np.ndarray:
    """Pictures uint8 [B, H, W, 3] cropped and resized as ``image`` says, still uint8 [B, height, width, 3].

    :func:`model_input` of them equals the robot's ``prepare_image`` of the originals.
    Raises wbvla_core.vla_input.InputError for anything but colour pictures of 8 bits.
    """
    whole = image.crop == (0.0, 0.0, 1.0, 1.0)
    if whole and rgb.dtype == np.uint8 and rgb.ndim == 4 and rgb.shape[1:] == (image.height, image.width, 3):
        return rgb
    return np.stack([shrink_picture(picture, image) for picture in rgb])


def model_input(small: np.ndarray, image: ImageSection) -> torch.Tensor:
    """float32 [B, 3, height, width] of :func:`small_pictures`' result."""
    return torch.from_numpy(scale_pictures(small, image))


def save_image_section(image: ImageSection, folder: Path) -> None:
    """Write ``image`` into ``folder``."""
    (folder / IMAGE_FILE).write_text(json.dumps(dataclasses.asdict(image), indent=1) + "\n", encoding="utf-8")


def parse_image_section(data: object, where: str) -> ImageSection:
    """The section of a parsed JSON object; raises VisionError naming ``where``."""
    try:
        fields = {name: tuple(v) if isinstance(v, list) else v for name, v in dict(data).items()}  # type: ignore[call-overload]
        return ImageSection(**fields)
    except (TypeError, ValueError) as error:
        raise VisionError(f"{where}: not an image section ({error})") from None


def load_image_section(folder: Path) -> ImageSection:
    """The section in ``folder``; raises VisionError when it is missing or broken."""
    path = folder / IMAGE_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise VisionError(f"{path}: cannot read how pictures are prepared ({error})") from None
    return parse_image_section(data, str(path))
