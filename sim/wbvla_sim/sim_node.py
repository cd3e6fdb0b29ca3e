"""ROS face of the simulator: head camera, ground truth, and the services of gantry, pushes and resets.

It runs in its own process and sees the plant only through the simulator's mailbox, so that rendering never
costs the plant a step.
"""

from __future__ import annotations

import time
from array import array

import numpy as np
from geometry_msgs.msg import Pose
from rcl_interfaces.msg import ParameterDescriptor
from sensor_msgs.msg import CameraInfo, CompressedImage
from wbvla_core.robot_spec import Camera, RobotSpec
from wbvla_core.shared_slots import MailboxError
from wbvla_core.timing import LatencyHistogram, RateMeter
from wbvla_core.types import Reason, State
from wbvla_ros.conversions import to_time
from wbvla_ros.lifecycle import ManagedNode, Report
from wbvla_ros.process import main_of

from wbvla_msgs.msg import NamedPose, SimState
from wbvla_msgs.srv import SimGantry, SimPush, SimReset
from wbvla_ros import qos
from wbvla_sim.mirror import BodyPose, Mirror
from wbvla_sim.render import encode_jpeg
from wbvla_sim.sim_mailbox import GantryRequest, PushRequest, ResetRequest, SimMailbox, SimSnapshot

STALE_S = 0.5
OPEN_TIMEOUT_S = 10.0
REOPEN_PERIOD_S = 0.5
PARAMETERS = {
    "robot": ("x2_ultra", "Robot spec, by name or by path."),
    "mailbox": ("", "Name of the plant's mailbox; empty: this node's namespace."),
    "camera": ("head_cam", "Camera of the robot spec that is published."),
    "camera_rate_hz": (15.0, "Pictures per second; 0 publishes none and needs no OpenGL."),
    "jpeg_quality": (85, "1..95."),
    "state_rate_hz": (50.0, "Rate of sim/state."),
}


class SimNode(ManagedNode):
    """Lifecycle node ``sim_node``."""

    def __init__(self, **kwargs) -> None:
        super().__init__("sim_node", **kwargs)
        for name, (value, text) in PARAMETERS.items():
            self.declare_parameter(name, value, ParameterDescriptor(description=text, read_only=True))
        self._box: SimMailbox | None = None
        self._snapshot: SimSnapshot | None = None
        self._mirror: Mirror | None = None
        self._publish_timers = []
        self._image_publisher = self.create_publisher(
            CompressedImage, "head_camera/image_raw/compressed", qos.CAMERA
        )
        self._info_publisher = self.create_publisher(CameraInfo, "head_camera/camera_info", qos.CAMERA)
        self._state_publisher = self.create_publisher(SimState, "sim/state", qos.TOOLS)
        self.create_service(SimGantry, "sim/gantry", self._on_gantry)
        self.create_service(SimPush, "sim/push", self._on_push)
        self.create_service(SimReset, "sim/reset", self._on_reset)

    def configure(self) -> None:
        """Join the plant and draw one picture, so that a missing GL is known before anything moves."""
        self._spec = RobotSpec.load(self._value("robot"))
        cameras = {camera.name: camera for camera in self._spec.cameras}
        if self._value("camera") not in cameras:
            raise ValueError(
                f"parameter camera: {self._value('camera')!r} is not one of {', '.join(cameras)}"
            )
        self._camera = cameras[self._value("camera")]
        self._mailbox_name = self._value("mailbox") or self.get_namespace().strip("/")
        self._box = SimMailbox.open(self._mailbox_name, self._spec, OPEN_TIMEOUT_S)
        self._mirror = Mirror(self._spec)
        deadline = time.monotonic() + OPEN_TIMEOUT_S
        while not self._look():
            if time.monotonic() > deadline:
                raise MailboxError(
                    f"the plant {self._mailbox_name} does not say where the robot is; is it running?"
                )
            time.sleep(0.02)
        if self._value("camera_rate_hz") > 0:
            self._picture()
            # A GL context belongs to one thread; the one that publishes makes its own.
            self._mirror.close()

    def activate(self) -> None:
        """Begin to publish."""
        self._picture_rate, self._picture_cost = RateMeter(), LatencyHistogram()
        self._published = 0
        self._publish_timers = [
            self.create_timer(1.0 / self._value("state_rate_hz"), self._publish_state),
            self.create_timer(REOPEN_PERIOD_S, self._find_plant),
        ]
        if self._value("camera_rate_hz") > 0:
            self._publish_timers.append(
                self.create_timer(1.0 / self._value("camera_rate_hz"), self._publish_picture)
            )

    def deactivate(self) -> None:
        """Stop publishing; the services stay."""
        for timer in self._publish_timers:
            timer.cancel()
            self.destroy_timer(timer)
        self._publish_timers = []

    def cleanup(self) -> None:
        """Leave the plant and free the GL context."""
        if self._mirror is not None:
            self._mirror.close()
        if self._box is not None:
            self._box.close()
        self._mirror = self._box = self._snapshot = None

    def report(self) -> Report:
        """Rate of the camera, and what a picture costs."""
        now_ns = time.monotonic_ns()
        rate = self._picture_rate.rate_hz(now_ns)
        stale = self._stale()
        return Report(
            state=State.ACTIVE,
            reason=Reason.STATE_LOST if stale else Reason.NONE,
            detail="the plant is silent" if stale else "",
            rate_hz=0.0 if np.isnan(rate) else rate,
            published=self._published,
            stages={"picture": (self._picture_cost.percentile_ms(50), self._picture_cost.percentile_ms(99))}
            if self._picture_cost.count
            else {},
            values={"real_time_factor": f"{self._snapshot.real_time_factor:.3f}" if self._snapshot else ""},
        )

    def _value(self, name: str):
        return self.get_parameter(name).value

    def _stale(self) -> bool:
        return self._snapshot is None or time.time_ns() - self._snapshot.stamp_ns > STALE_S * 1e9

    def _look(self) -> bool:
        """Follow the newest snapshot; False when there is none."""
        snapshot = self._box.read()
        if snapshot is None:
            return False
        if self._snapshot is None or snapshot.stamp_ns != self._snapshot.stamp_ns:
            self._mirror.follow(snapshot)
            self._snapshot = snapshot
        return True

    def _find_plant(self) -> None:
        """Join a plant that was started anew."""
        if not self._box.orphaned:
            return
        try:
            box = SimMailbox.open(self._mailbox_name, self._spec)
        except MailboxError:
            return
        self._box.close()
        self._box = box
        self.get_logger().info(f"joined the new plant {self._mailbox_name}")

    def _picture(self) -> bytes:
        image = self._mirror.picture(self._camera.name, self._camera.width, self._camera.height)
        return encode_jpeg(image, self._value("jpeg_quality"))

    def _publish_picture(self) -> None:
        begin_ns = time.monotonic_ns()
        if not self._look() or self._stale():
            return
        message = CompressedImage(format="rgb8; jpeg compressed bgr8")
        message.header.stamp = to_time(self._snapshot.stamp_ns)
        message.header.frame_id = self._camera.name
        message.data = array("B", self._picture())
        self._image_publisher.publish(message)
        self._info_publisher.publish(camera_info(self._camera, self._snapshot.stamp_ns))
        now_ns = time.monotonic_ns()
        self._picture_cost.record(now_ns - begin_ns)
        self._picture_rate.count(now_ns)
        self._published += 1

    def _publish_state(self) -> None:
        if not self._look() or self._stale():
            return
        snapshot, measures = self._snapshot, self._mirror.measure()
        message = SimState(
            sim_time=snapshot.sim_time_s,
            real_time_factor=snapshot.real_time_factor,
            fell=snapshot.fell,
            hoisted=snapshot.hoisted,
            gantry_height=snapshot.gantry_height_m,
            pelvis=_pose(measures.pelvis),
            objects=[NamedPose(name=body.name, pose=_pose(body)) for body in measures.objects],
        )
        message.header.stamp = to_time(snapshot.stamp_ns)
        message.header.frame_id = "world"
        _set_xyz(message.pelvis_twist.linear, measures.linear_velocity_m_s)
        _set_xyz(message.pelvis_twist.angular, measures.angular_velocity_rad_s)
        _set_xyz(message.centre_of_mass, measures.centre_of_mass_m)
        self._state_publisher.publish(message)

    def _ask(self, request, response):
        if self._box is None:
            response.success, response.message = False, "sim_node is not configured"
            return response
        try:
            reply = self._box.ask(request)
            response.success, response.message = reply.success, reply.message
        except MailboxError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_gantry(self, request: SimGantry.Request, response: SimGantry.Response) -> SimGantry.Response:
        return self._ask(GantryRequest(request.hooked, request.height, request.speed), response)

    def _on_push(self, request: SimPush.Request, response: SimPush.Response) -> SimPush.Response:
        force = (request.force.x, request.force.y, request.force.z)
        return self._ask(PushRequest(request.body, force, request.duration), response)

    def _on_reset(self, request: SimReset.Request, response: SimReset.Response) -> SimReset.Response:
        return self._ask(ResetRequest(request.task, request.seed), response)


def camera_info(camera: Camera, stamp_ns: int) -> CameraInfo:
    """Calibration of an ideal pinhole camera."""
    focal, x, y = camera.focal_px, 0.5 * camera.width, 0.5 * camera.height
    message = CameraInfo(width=camera.width, height=camera.height, distortion_model="plumb_bob")
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = camera.name
    message.d = [0.0] * 5
    message.k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def _pose(body: BodyPose) -> Pose:
    pose = Pose()
    _set_xyz(pose.position, body.position_m)
    q = pose.orientation
    q.w, q.x, q.y, q.z = map(float, body.quaternion_wxyz)
    return pose


def _set_xyz(target, values: np.ndarray) -> None:
    target.x, target.y, target.z = map(float, values)


main = main_of(SimNode)

if __name__ == "__main__":
    main()
