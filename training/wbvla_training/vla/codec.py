"""``wbvla vla codec``: how much of a chunk is due to the dataset's video codec. The robot never sees that codec, the model
learned through it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from wbvla_core.vla_input import decode_jpeg
from wbvla_vla_node.policy import Observation, Policy

from wbvla_training.data.bag_source import BagSource
from wbvla_training.data.fields import decode
from wbvla_training.data.frames import VideoFrames
from wbvla_training.data.video import VideoWriter

from .errors import VlaError

CAMERA_TYPE = "sensor_msgs/msg/CompressedImage"
FPS = 30


def codec_difference(policy: Policy, sentence: str, state: np.ndarray, bags: Iterable[Path], pictures: int) -> dict:
    """Chunks for up to ``pictures`` pictures of each bag, as recorded and through the dataset's codec, same ``state``:
    largest and mean difference of arm joints and grippers [rad, share], and the share of equal flags. Raises VlaError for
    a bag without pictures, DataError for a broken one."""
    differences, flags = [], []
    for bag in bags:
        jpegs = _jpegs(BagSource.open(bag), bag)
        jpegs = [jpegs[i] for i in np.linspace(0, len(jpegs) - 1, min(pictures, len(jpegs))).round().astype(int)]
        with TemporaryDirectory() as folder:
            for jpeg, rgb in zip(jpegs, _through_codec(jpegs, Path(folder) / "pictures.mp4"), strict=True):
                recorded = policy.infer(Observation(sentence, state, jpeg), 0)
                coded = policy.infer(Observation(sentence, state, None, rgb), 0)
                differences.append(np.abs(recorded.positions - coded.positions).max(axis=1))
                flags.append((recorded.loco[:, :3] == coded.loco[:, :3]).all(axis=1))
    if not differences:
        raise VlaError("no bag was given; give --bags")
    found = np.concatenate(differences)
    return {
        "pictures": len(differences),
        "largest": float(found.max()),
        "p99": float(np.percentile(found, 99)),
        "mean": float(found.mean()),
        "flags_equal": float(np.concatenate(flags).mean()),
    }


def _jpegs(source: BagSource, bag: Path) -> list[bytes]:
    cameras = [name for name, (kind, _) in source.topics.items() if kind == CAMERA_TYPE]
    found = [bytes(decode(data, CAMERA_TYPE).data) for _, _, data in source.messages(cameras)]
    if not found:
        raise VlaError(f"{bag}: the bag holds no picture ({CAMERA_TYPE})")
    return found


def _through_codec(jpegs: list[bytes], path: Path) -> list[np.ndarray]:
    height, width = decode_jpeg(jpegs[0]).shape[:2]
    writer = VideoWriter(path, height, width, FPS)
    for jpeg in jpegs:
        writer.add(jpeg)
    writer.close()
    video = VideoFrames(path, FPS)
    try:
        return [video.read(number).copy() for number in range(len(jpegs))]
    finally:
        video.close()
