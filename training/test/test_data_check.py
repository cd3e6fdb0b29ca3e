"""The checks find what was broken on purpose, and fixing only drops."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from wbvla_training.data.bench_dataset import Quiet
from wbvla_training.data.check import check_dataset
from wbvla_training.data.cli import main
from wbvla_training.data.convert import ConvertOptions, convert
from wbvla_training.data.dataset_index import DatasetIndex
from wbvla_training.data.frames import VideoFrames
from wbvla_training.data.samples import SampleEpisode, picture_number, write_sample
from wbvla_training.data.schema import STAMPS

CAMERA = "observation.images.head_cam"
EPISODE = SampleEpisode(seconds=3.0, pictures=60)


@pytest.fixture(scope="module", params=["v3.0", "v2.1"])
def good(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("check")
    for i, name in enumerate("abc"):
        write_sample(folder / f"bags/{name}", replace(EPISODE, start_ns=EPISODE.start_ns + i * 10**11))
    convert([folder / "bags"], ConvertOptions(folder / "data", request.param, jobs=1), Quiet())
    return folder / "data"


@pytest.fixture
def dataset(good, tmp_path):
    return shutil.copytree(good, tmp_path / "data")


def change(dataset, episode: int, column: str, edit) -> None:
    """Let ``edit`` alter an episode's column [length, size] in place."""
    entry = DatasetIndex.open(dataset).episodes[episode]
    table = pq.read_table(entry.table)
    place = table.column_names.index(column)
    kind = table.schema.field(column).type
    size = kind.list_size if pa.types.is_fixed_size_list(kind) else 1
    chunk = table.column(column).combine_chunks()
    values = (chunk.flatten() if size > 1 else chunk).to_numpy(zero_copy_only=False).reshape(-1, size).copy()
    edit(values[entry.row : entry.row + entry.length])
    flat = pa.array(values.ravel())
    array = flat if size == 1 else pa.FixedSizeListArray.from_arrays(flat, size)
    pq.write_table(table.set_column(place, table.schema.field(column), array), entry.table)


def rules(dataset, errors=True, pictures=False) -> set[tuple[int | None, str]]:
    report = check_dataset(DatasetIndex.open(dataset), pictures)
    return {(f.episode, f.rule) for f in report.findings if f.is_error == errors}


def test_good_dataset_has_no_findings(good):
    assert check_dataset(DatasetIndex.open(good)).findings == []


def set_at(frame, place, value):
    def edit(values):
        values[frame, place] = value

    return edit


def freeze(values):
    values[:, 15] = values[0, 15]  # left_shoulder_pitch_joint


def shift_arm(values):
    values[:, 3] -= 200_000_000  # stamps of arm_target


def slow_camera(values):
    values[:, 1] = values[::6, 1].repeat(6)[: len(values)]


@pytest.mark.parametrize(
    ("column", "edit", "rule"),
    [
        ("observation.state", set_at(20, 3, np.nan), "NaN"),
        ("action", set_at(20, 3, np.inf), "NaN"),
        ("observation.state", set_at(20, 3, 1.9), "jump"),
        ("observation.state", freeze, "stuck joints"),
        ("observation.state", set_at(0, 31, 1.8), "range"),
        ("action", set_at(9, 16, 0.5), "range"),
        ("timestamp", set_at(9, 0, 0.31), "counts"),
        ("index", set_at(9, 0, 10_000), "counts"),
        ("task_index", set_at(9, 0, 4), "counts"),
        (STAMPS, shift_arm, "skew"),
        (STAMPS, slow_camera, "rate"),
        (STAMPS, set_at(slice(None), 2, 2 * 10**18), "stamps"),
    ],
)
def test_what_was_broken_is_found_in_its_episode(dataset, column, edit, rule):
    change(dataset, 1, column, edit)
    assert (1, rule) in rules(dataset)
    assert {episode for episode, _ in rules(dataset)} == {1}


def test_command_that_steps_far_is_a_warning(dataset):
    change(dataset, 1, "action", set_at(slice(20, None), 3, -1.5))
    assert (1, "target jump") in rules(dataset, errors=False)


def test_black_pictures_are_found(tmp_path, monkeypatch):
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (640, 480)).save(stream, "JPEG")
    with monkeypatch.context() as patch:
        patch.setattr("wbvla_training.data.samples.jpeg", lambda *_: stream.getvalue())
        write_sample(tmp_path / "bags/a", EPISODE)
    convert([tmp_path / "bags"], ConvertOptions(tmp_path / "data", jobs=1), Quiet())
    assert rules(tmp_path / "data", pictures=True) == {(0, "black frames")}


def test_contract_statistics_and_counts_are_held_against_the_files(dataset):
    file = dataset / "meta/info.json"
    info = json.loads(file.read_text())
    info["fps"], info["total_frames"] = 25, 5
    info["features"]["action"]["names"][0] = "elbow"
    del info["features"]["complementary_info.authority"]
    file.write_text(json.dumps(info))
    texts = [f.text for f in check_dataset(DatasetIndex.open(dataset), pictures=False).errors if f.episode is None]
    assert any("fps is 25, the contract says 30" in text for text in texts)
    assert any("total_frames 5" in text for text in texts)
    assert any("feature action: names" in text for text in texts)
    assert any("complementary_info.authority of the contract is missing" in text for text in texts)


def test_missing_video_is_named(dataset):
    index = DatasetIndex.open(dataset)
    path, _ = index.episodes[0].videos[CAMERA]
    path.unlink()
    findings = check_dataset(index).errors
    assert findings and all(f.rule == "files" and path.name in f.text for f in findings)


def test_fix_drops_the_bad_episode_and_nothing_else(dataset, capsys):
    before = DatasetIndex.open(dataset)
    kept = [before.episode_columns(before.episodes[n]) for n in (0, 2)]
    change(dataset, 1, "observation.state", set_at(20, 3, np.nan))
    assert main(["check", str(dataset)]) == 1
    assert "--fix drops episode 1" in capsys.readouterr().out
    assert main(["check", str(dataset), "--fix", "--json", str(dataset.parent / "f.json")]) == 0
    index = DatasetIndex.open(dataset)
    assert [account["bag"] for account in index.provenance] == ["a", "c"]
    assert index.version == before.version
    for episode, columns in zip(index.episodes, kept, strict=True):
        found = index.episode_columns(episode)
        assert np.array_equal(found["observation.state"], columns["observation.state"])
        stamps = columns[STAMPS][:, 1]
        path, first = episode.videos[CAMERA]
        video = VideoFrames(path, index.fps)
        start_ns = EPISODE.start_ns + (0, 2)[episode.number] * 10**11
        for frame in (0, 33, episode.length - 1):
            assert picture_number(video.read(first + frame)) == round((stamps[frame] - start_ns) * 15 / 1e9) % 60
        video.close()
    assert DatasetIndex.open(dataset.with_name("data.unfixed")).frames == before.frames
    assert json.loads((dataset.parent / "f.json").read_text())["errors"] == 1


def test_info_prints_figures_and_writes_one_page(good, tmp_path, capsys):
    page, figures = tmp_path / "page.html", tmp_path / "info.json"
    assert main(["info", str(good), "--html", str(page), "--json", str(figures)]) == 0
    assert "3 of 3 succeeded" in capsys.readouterr().out
    content = json.loads(figures.read_text())
    assert (content["episodes"], content["fps"], content["robot"]) == (3, 30, "x2_ultra")
    html = page.read_text()
    assert html.count("data:image/jpeg;base64,") == 18
    assert html.count("<figure>") == 56 and "http://" not in html and "https://" not in html


def test_wrong_folder_is_one_clear_error(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert "is no LeRobot dataset" in capsys.readouterr().err
    assert main(["convert", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert "no .mcap file in or below" in capsys.readouterr().err
