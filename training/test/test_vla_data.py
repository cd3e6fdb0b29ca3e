"""Examples for training are what the robot would see: pictures, states and sentences by the node's own code."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import av
import mujoco
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from vla_training_samples import FakeLabeller, toy_config
from wbvla_core.vla_bundle import ImageSection
from wbvla_core.vla_input import prepare_image
from wbvla_training.data.bench_dataset import Quiet
from wbvla_training.data.convert import ConvertOptions, convert
from wbvla_training.data.reader import ACTION, STATE, EpisodeReader
from wbvla_training.data.samples import SampleEpisode, write_sample
from wbvla_training.vla.configuration import tiny
from wbvla_training.vla.demos import CAMERA, check_labellers, demo_examples
from wbvla_training.vla.errors import VlaError
from wbvla_training.vla.files import new_vla
from wbvla_training.vla.grounding_views import in_picture
from wbvla_training.vla.video_examples import video_examples


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("demos")
    for number in range(2):
        write_sample(root / "bags" / f"episode_{number}", SampleEpisode(seconds=2.0, pictures=12))
    convert([root / "bags"], ConvertOptions(out=root / "data", jobs=1), Quiet())
    return root / "data"


def test_dataset_input_is_live_input_and_chunks_are_what_was_done(dataset, tmp_path):
    config = tiny()
    examples = demo_examples(dataset, config, tmp_path / "cache", {"loco": FakeLabeller()})
    reader = EpisodeReader(dataset, cameras=(CAMERA,), fresh_only=True)
    assert len(examples) == len(reader) and set(examples.episode) == {0, 1}
    processor = new_vla(config).processor
    columns = reader.index.columns((STATE, ACTION))
    frames = reader.frames(0)
    for row in (0, 7, len(frames) - 1):
        rgb = reader.picture(reader.episodes[0], int(frames[row]), CAMERA)
        live = prepare_image(rgb, processor.about.image)
        assert np.array_equal(processor.pictures(np.asarray(examples.pictures[row : row + 1])).numpy(), live)
        assert np.array_equal(examples.state[row], columns[STATE][frames[row]])
        wanted = np.minimum(frames[row] + 3 * np.arange(config.decoder.chunk), reader.episodes[0].length - 1)
        np.testing.assert_array_equal(examples.action[row], columns[ACTION][wanted])
    # Locomotion codes come second; manipulation has none.
    assert (np.asarray(examples.codes[:, :4]) == -1).all() and (np.asarray(examples.codes[:, 4:]) >= 0).all()
    assert examples.sentences == ("touch the red ball with your left hand",)


def test_cache_is_made_once_and_anew_when_the_labels_change(dataset, tmp_path):
    config = tiny()
    said: list[str] = []
    for labeller, times in (
        (FakeLabeller(), 2),
        (FakeLabeller(), 2),
        (FakeLabeller(codebook_hash="other"), 4),
    ):
        demo_examples(dataset, config, tmp_path / "cache", {"mani": labeller}, say=said.append)
        assert len(said) == times


def test_rows_of_a_chunk_between_two_frames_are_refused(dataset, tmp_path):
    config = tiny()
    config = replace(config, decoder=replace(config.decoder, step_s=0.15))
    with pytest.raises(VlaError, match=r"4\.5 frames at 30 fps"):
        demo_examples(dataset, config, tmp_path / "cache")


def test_labels_that_do_not_fit_the_model_are_refused():
    config = tiny()
    with pytest.raises(VlaError, match="4 tokens of 8 codes"):
        check_labellers(config, {"mani": FakeLabeller(codes=8)})
    with pytest.raises(VlaError, match="no codebook 'third'"):
        check_labellers(config, {"third": FakeLabeller()})
    learned = config.with_hashes({"mani": "1111222233334444"})
    with pytest.raises(VlaError, match=r"1111222233334444.*another one"):
        check_labellers(learned, {"mani": FakeLabeller()})


def test_video_clips_become_frames_with_codes_and_a_sentence(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(8):
        with av.open(str(folder / f"clip_{number}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for i in range(12):
                picture = np.full((64, 64, 3), 20 * i, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
    config = toy_config()
    labeller = FakeLabeller(tokens=2, codes=4)
    examples = video_examples(folder, config, tmp_path / "cache", {"loco": labeller}, "go ahead")
    clips = len(set(examples.episode))
    # The last frames of a clip have no later one to tell a code by; held-out clips are left out.
    assert 1 <= clips <= 8 and len(examples) == clips * (12 - 3)
    assert examples.sentences == ("go ahead",) and np.isnan(examples.action).all()
    assert (np.asarray(examples.codes[:, :2]) == -1).all()
    # A latent action model that wants its pictures otherwise gets them so, from the video itself.
    labeller.image = ImageSection((0.0, 0.5, 1.0, 1.0), 28, 28, config.image.mean, config.image.std)
    sizes = []
    label = labeller.label_sequence
    labeller.label_sequence = lambda frames, rate: sizes.append(frames.shape) or label(frames, rate)
    otherwise = video_examples(folder, config, tmp_path / "otherwise", {"loco": labeller}, "go ahead")
    assert set(sizes) == {(12, 28, 28, 3)} and otherwise.pictures.shape == examples.pictures.shape
    longer = replace(config, decoder=replace(config.decoder, chunk=config.decoder.chunk + 2))
    again = video_examples(folder, longer, tmp_path / "cache", {"loco": labeller}, "go ahead")
    assert again.action.shape[1] == longer.decoder.chunk, "examples of another shape are made anew"
    with pytest.raises(VlaError, match="--lam-mani or --lam-loco"):
        video_examples(folder, config, tmp_path / "other", {})


def test_a_point_is_found_in_the_part_of_the_picture_that_the_model_sees():
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><camera name="head_cam" fovy="90"/></worldbody></mujoco>'
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    # Two metres before the camera, which looks along -z, 90 degrees show four metres down and four across.
    point = np.array([1.0, -0.5, -2.0])
    assert in_picture(model, data, point, 1.0) == pytest.approx((0.25, 0.125))
    assert in_picture(model, data, point, 1.0, (0.5, 0.0, 1.0, 1.0)) == pytest.approx((0.0, 0.125))
    assert in_picture(model, data, point, 1.0, (0.0, 0.5, 1.0, 1.0)) == pytest.approx((0.25, -0.25))
    assert in_picture(model, data, point, 1.0, (0.0, 0.0, 0.5, 1.0)) is None
    assert in_picture(model, data, -point, 1.0) is None
