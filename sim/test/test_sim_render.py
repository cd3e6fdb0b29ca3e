"""Pictures: of the right size, showing what is there, cheap, and a clear error where OpenGL is missing."""

import io

import mujoco
import numpy as np
import pytest
from PIL import Image
from wbvla_core.model import joint_addresses
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim import gl
from wbvla_sim.render import Renderer, encode_jpeg, probe
from wbvla_sim.scenes import build_scene

SPEC = RobotSpec.load("x2_ultra")


@pytest.fixture(scope="module")
def scene() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = build_scene(SPEC, "table", 0).compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    mujoco.mj_forward(model, data)
    return model, data


def share(picture: np.ndarray, mask) -> float:
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    return float(np.mean(mask(red, green, blue)))


def reddish(red, green, blue):
    return (red > 110) & (green < 60) & (blue < 60)


def test_head_camera_sees_the_balls_and_where_they_are(scene):
    model, data = scene
    camera = SPEC.cameras[0]
    with Renderer(model, camera.width, camera.height) as renderer:
        picture = renderer.camera(data, camera.name)
    assert picture.shape == (480, 640, 3) and picture.dtype == np.uint8
    eye = data.cam("head_cam")
    ahead = eye.xmat.reshape(3, 3).T @ (data.body("ball_red").xpos - eye.xpos)
    column = 320 + camera.focal_px * ahead[0] / -ahead[2]
    row = 240 - camera.focal_px * ahead[1] / -ahead[2]
    rows, columns = np.nonzero(reddish(*(picture[..., i].astype(int) for i in range(3))))
    assert abs(columns.mean() - column) < 5 and abs(rows.mean() - row) < 5


def test_head_camera_sees_raised_hands(scene):
    model, data = scene
    with Renderer(model, 320, 240) as renderer:
        before = renderer.camera(data, "head_cam")
        raised = mujoco.MjData(model)
        raised.qpos[:] = data.qpos
        pose = SPEC.default_rad.copy()
        pose[SPEC.index(["left_shoulder_pitch_joint", "right_shoulder_pitch_joint"])] = -0.6
        pose[SPEC.index(["left_elbow_joint", "right_elbow_joint"])] = -1.1
        raised.qpos[joint_addresses(model, SPEC)[0]] = pose
        mujoco.mj_forward(model, raised)
        after = renderer.camera(raised, "head_cam")
    changed = np.abs(before.astype(int) - after).max(axis=2) > 40
    assert changed[:, :160].mean() > 0.05 and changed[:, 160:].mean() > 0.05


def test_collision_bodies_stay_hidden(scene):
    model, data = scene
    with Renderer(model, 320, 240) as renderer:
        whole = renderer.third_person(data, (0.0, 0.0, 0.6))
        groups = model.geom_group.copy()
        model.geom_group[groups == 2] = 5
        without_looks = renderer.third_person(data, (0.0, 0.0, 0.6))
        model.geom_group[:] = groups

    def greenish(red, green, blue):
        return (green > red + 40) & (green > blue + 40)

    assert not np.array_equal(whole, without_looks)
    assert share(without_looks[:120], greenish) < 0.002


def test_third_person_and_shadows_draw_and_leave_the_model_alone(scene):
    model, data = scene
    before = model.vis.quality.shadowsize, model.vis.quality.offsamples, model.vis.global_.offwidth
    with Renderer(model, 320, 240, shadows=True, samples=4) as bright, Renderer(model, 320, 240) as plain:
        with_shadow = bright.third_person(data, (0.0, 0.0, 0.6))
        without = plain.third_person(data, (0.0, 0.0, 0.6))
    # Shadows make some parts darker; light is added in another order, so the rest is not the same to the bit.
    darker = without.astype(int).mean(axis=2) - with_shadow.mean(axis=2)
    assert 0.005 < np.mean(darker > 20) < 0.5
    assert before == (model.vis.quality.shadowsize, model.vis.quality.offsamples, model.vis.global_.offwidth)


def test_same_state_gives_the_same_picture(scene):
    model, data = scene
    with Renderer(model, 224, 224) as renderer:
        np.testing.assert_array_equal(renderer.camera(data, "head_cam"), renderer.camera(data, "head_cam"))


def test_jpeg_comes_back_nearly_unchanged(scene):
    model, data = scene
    with Renderer(model, 320, 240) as renderer:
        picture = renderer.camera(data, "head_cam")
    back = np.asarray(Image.open(io.BytesIO(encode_jpeg(picture))))
    assert back.shape == picture.shape and np.abs(back.astype(int) - picture).mean() < 4.0


def test_too_large_a_picture_and_an_unknown_camera_are_refused(scene):
    model, data = scene
    with pytest.raises(ValueError, match="does not fit the off-screen buffer 1280x960"):
        Renderer(model, 4000, 480)
    with Renderer(model, 64, 64) as renderer, pytest.raises(KeyError, match="nose_cam"):
        renderer.camera(data, "nose_cam")


def test_missing_opengl_says_what_to_install(monkeypatch, scene):
    def no_library(name):
        raise ImportError(f"cannot load the library behind {name}")

    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(gl.importlib, "import_module", no_library)
    with pytest.raises(
        gl.NoOpenGLError, match=r"egl: ImportError.*osmesa: ImportError.*apt-get install libegl1"
    ):
        Renderer(scene[0], 64, 64)


def test_probe_names_the_backend():
    assert probe().endswith("drew a picture")
