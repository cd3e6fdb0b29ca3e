"""Folders of video files become cached frames; files that are none are named and left out."""

from __future__ import annotations

import numpy as np
import pytest
from wbvla_sim.video.clip import write_video
from wbvla_training.video.cache import ClipEntry, open_cache
from wbvla_training.video.decode import decode
from wbvla_training.vision.errors import VisionError
from wbvla_training.vision.image import whole_picture

IMAGE = whole_picture(56)


def _ramp(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Frames whose brightness counts up."""
    return np.broadcast_to((np.arange(count) * 4)[:, None, None, None], (count, height, width, 3)).astype(
        np.uint8
    )


def _make(path, count=24, rate=10, **size):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, _ramp(count, **size), rate)


def test_every_rate_and_size_becomes_the_same_frames(tmp_path):
    _make(tmp_path / "slow.mp4", 12, 10)
    _make(tmp_path / "fast.mp4", 36, 30, height=72, width=96)
    slow, fast = (decode(tmp_path / f"{name}.mp4", IMAGE, 10.0, 4) for name in ("slow", "fast"))
    assert slow.shape == (12, 56, 56, 3) and fast.shape == (12, 56, 56, 3)
    # The faster video's brightness rises by three steps between frames that are 0.1 s apart.
    assert np.abs(slow.mean((1, 2, 3)) - 4 * np.arange(12)).max() < 3.0
    assert np.abs(fast.mean((1, 2, 3)) - 12 * np.arange(12)).max() < 3.0


def test_a_slow_video_repeats_frames_up_to_the_wanted_rate(tmp_path):
    _make(tmp_path / "five.mp4", 6, 5)
    frames = decode(tmp_path / "five.mp4", IMAGE, 10.0, 4)
    assert len(frames) == 11
    np.testing.assert_array_equal(frames[2], frames[3])


def test_files_that_cannot_be_used_are_named_and_left_out(tmp_path):
    videos = tmp_path / "videos"
    _make(videos / "good.mp4")
    _make(videos / "below" / "short.mp4", 2)
    (videos / "text.mp4").write_text("no video at all")
    whole = (videos / "good.mp4").read_bytes()
    (videos / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    cache = open_cache(videos, IMAGE)
    assert [clip.name for clip in cache.clips] == ["good.mp4"]
    assert set(cache.skipped) == {"below/short.mp4", "text.mp4", "cut.mp4"}
    assert "at least 4 are needed" in cache.skipped["below/short.mp4"]
    assert "text.mp4: cannot be decoded" in cache.skipped["text.mp4"]


def test_a_folder_without_usable_video_is_an_error(tmp_path):
    with pytest.raises(VisionError, match="no such folder"):
        open_cache(tmp_path / "nothing", IMAGE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(VisionError, match="has no video files"):
        open_cache(tmp_path / "empty", IMAGE)
    (tmp_path / "empty" / "bad.mp4").write_bytes(b"\0" * 100)
    with pytest.raises(VisionError, match=r"none of 1 files.*bad\.mp4"):
        open_cache(tmp_path / "empty", IMAGE)


def test_the_cache_is_made_once_and_anew_when_files_change(tmp_path):
    videos = tmp_path / "videos"
    _make(videos / "a.mp4")
    first = open_cache(videos, IMAGE)
    made = []

    def open_again(image=IMAGE):
        return open_cache(videos, image, report=lambda done, _total: made.append(done))

    assert open_again().key == first.key and made == []
    _make(videos / "b.mp4")
    second = open_again()
    assert second.key != first.key and len(second.clips) == 2 and made == [1, 2]


def test_each_way_to_prepare_frames_has_a_cache_of_its_own(tmp_path):
    videos = tmp_path / "videos"
    _make(videos / "a.mp4")
    first, small = open_cache(videos, IMAGE), open_cache(videos, whole_picture(28))
    assert small.frames.shape[1:] == (28, 28, 3)

    def made_anew(_done, _total):
        raise AssertionError("frames are there already")

    for cache, image in ((first, IMAGE), (small, whole_picture(28))):
        assert open_cache(videos, image, report=made_anew).key == cache.key


def test_frames_in_use_stay_as_they_are_while_they_are_made_anew(tmp_path):
    videos = tmp_path / "videos"
    _make(videos / "a.mp4")
    first = open_cache(videos, IMAGE)
    before = np.array(first.frames)
    write_video(videos / "a.mp4", 255 - _ramp(12), 10)
    assert len(open_cache(videos, IMAGE).frames) == 12
    np.testing.assert_array_equal(first.frames, before)
    assert not list(first.folder.glob("*.part"))


def test_pairs_stay_within_clips_and_the_split_hangs_on_names_alone(tmp_path):
    videos = tmp_path / "videos"
    for i in range(30):
        _make(videos / f"{i}.mp4", 14)
    cache = open_cache(videos, IMAGE)
    pairs = np.concatenate([cache.pairs(1.0, held_out) for held_out in (False, True)])
    assert len(pairs) == 30 * 4 and (np.diff(pairs, axis=1) == 10).all()
    assert (cache.clip_of(pairs[:, 0]) == cache.clip_of(pairs[:, 1])).all()
    held = {clip.name for clip in cache.clips if clip.held_out}
    assert 0 < len(held) < 15
    assert held == {f"{i}.mp4" for i in range(30) if ClipEntry(f"{i}.mp4", 0, 1).held_out}
    assert not set(cache.pairs(1.0, True)[:, 0]) & set(cache.pairs(1.0, False)[:, 0])
