"""From a camera frame, a measured state and a sentence to what a VLA takes: the same code in training and on
the robot."""

from __future__ import annotations

import io

import numpy as np

from wbvla_core.rotations import projected_gravity
from wbvla_core.types import RobotState
from wbvla_core.vla_bundle import ImageSection

MAX_SENTENCE_BYTES = 512


class InputError(ValueError):
    """An image or a sentence cannot be used; says why."""


def decode_jpeg(data: bytes) -> np.ndarray:
    """RGB picture uint8 [H, W, 3] of JPEG bytes; raises InputError when they are none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise InputError(f"camera frame of {len(data)} bytes is not a whole JPEG picture ({error})") from None


def prepare_image(rgb: np.ndarray, section: ImageSection) -> np.ndarray:
    """Model input float32 [1, 3, height, width] of a picture uint8 [H, W, 3]: crop, resize (bilinear with
    anti-aliasing), scale.

    Raises:
        InputError: not a colour picture of 8 bits, or smaller than 8 x 8 pixels.
    """
    return scale_pictures(shrink_picture(rgb, section)[None], section)


def shrink_picture(rgb: np.ndarray, section: ImageSection) -> np.ndarray:
    """The first half of :func:`prepare_image`: uint8 [height, width, 3], what caches of training keep."""
    from PIL import Image

    shape = rgb.shape
    if rgb.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < 8:
        raise InputError(f"picture is {rgb.dtype} {list(shape)}, expected uint8 [H, W, 3], 8 x 8 or more")
    height, width = rgb.shape[:2]
    left, top, right, bottom = section.crop
    # Cut first: a resize with a box would mix in pixels from outside of it.
    rgb = rgb[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    return np.asarray(Image.fromarray(rgb).resize((section.width, section.height), Image.Resampling.BILINEAR))


def scale_pictures(small: np.ndarray, section: ImageSection) -> np.ndarray:
    """The second half: uint8 [B, height, width, 3] to float32 [B, 3, height, width]."""
    mean, std = np.asarray(section.mean, np.float32), np.asarray(section.std, np.float32)
    scaled = (small.astype(np.float32) / np.float32(255.0) - mean) / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def check_sentence(text: str) -> str:
    """The instruction without surrounding blanks; raises InputError when it is empty, longer than 512 bytes
    of UTF-8, or has control characters."""
    cleaned = text.strip()
    if not cleaned:
        raise InputError("instruction is empty")
    try:
        size = len(cleaned.encode("utf-8"))
    except UnicodeEncodeError:
        raise InputError("instruction is not valid UTF-8 text") from None
    if size > MAX_SENTENCE_BYTES:
        raise InputError(f"instruction has {size} bytes, at most {MAX_SENTENCE_BYTES} are allowed")
    if any(ord(character) < 32 or ord(character) == 127 for character in cleaned):
        raise InputError("instruction has control characters; give one plain line of text")
    return cleaned


def state_vector(state: RobotState) -> np.ndarray:
    """``observation.state`` of the contract at one sample, float64 [n + grippers + 3]: joint positions
    [rad] in wire order, gripper openings, gravity in the base frame."""
    return np.concatenate(
        (state.position_rad, state.gripper_opening, projected_gravity(state.base_quaternion_wxyz))
    )


def state_at(time_ns: int, samples: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """State vector float32 [S] at ``time_ns``: between the two (stamp, vector) samples around it linearly, or
    the only sample as it is."""
    begin_ns, begin = samples[0]
    if len(samples) == 1 or samples[1][0] <= begin_ns:
        return begin.astype(np.float32)
    end_ns, end = samples[1]
    weight = (time_ns - begin_ns) / (end_ns - begin_ns)
    return (begin + weight * (end - begin)).astype(np.float32)


def state_names(joint_names: tuple[str, ...], hand_names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of :func:`state_vector`'s values."""
    return (*joint_names, *hand_names, "gravity_x", "gravity_y", "gravity_z")
