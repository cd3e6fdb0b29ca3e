"""What an episode's numbers must be like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from wbvla_core.contract import Contract
from wbvla_core.robot_spec import RobotSpec

from wbvla_training.data.dataset_index import DatasetIndex
from wbvla_training.data.findings import Finding
from wbvla_training.data.schema import STAMPS

STATE, ACTION = "observation.state", "action"
# A measured joint may move this much faster than its limit, and this far at once, before it counts as a jump.
_SPEED_MARGIN, _JUMP_RAD = 1.5, 0.05
# A command may step by this much within one frame.
_COMMAND_STEP_RAD = 0.8
_STUCK_S, _STUCK_COMMAND_RAD = 2.0, 0.1
_SKEW_MS = 50.0
_LOW_RATE = 0.8
_LIMIT_MARGIN_RAD = 0.1
_FRACTION_MARGIN = 0.05


@dataclass(frozen=True)
class EpisodeData:
    """An episode's columns [length, size] with what is known about them."""

    number: int
    index: DatasetIndex
    contract: Contract | None
    spec: RobotSpec | None
    columns: dict[str, np.ndarray]

    def finding(self, rule: str, text: str, is_error: bool = True) -> Finding:
        return Finding(rule, text, self.number, is_error)

    def stamps(self, key: str) -> np.ndarray | None:
        """Stamps [length] in ns of one topic's samples; "frame" for the grid."""
        if STAMPS not in self.columns:
            return None
        names = self.index.names(STAMPS)
        return self.columns[STAMPS][:, names.index(key)] if key in names else None


def check_episode(data: EpisodeData) -> list[Finding]:
    """All rules on one episode; the others are left out when values are not finite."""
    broken = _finite(data)
    if broken:
        return _numbering(data) + broken
    return [
        finding
        for rule in (_numbering, _jumps, _stuck, _ranges, _rates, _skew, _future, _account)
        for finding in rule(data)
    ]


def _numbering(data: EpisodeData) -> list[Finding]:
    entry = data.index.episodes[data.number]
    n = entry.length
    expected = {
        "timestamp": (np.arange(n) / data.index.fps).astype(np.float32),
        "frame_index": np.arange(n),
        "episode_index": np.full(n, data.number),
        "index": np.arange(entry.begin, entry.begin + n),
    }
    found = [
        data.finding("counts", f"column {name} is not what the frames' numbers and fps give")
        for name, values in expected.items()
        if name not in data.columns or not np.array_equal(data.columns[name][:, 0], values)
    ]
    tasks = data.columns.get("task_index")
    if tasks is not None and not ((tasks >= 0) & (tasks < len(data.index.tasks))).all():
        found.append(data.finding("counts", "task_index names a task that the dataset does not have"))
    return found


def _finite(data: EpisodeData) -> list[Finding]:
    found = []
    for name, values in data.columns.items():
        if values.dtype.kind != "f":
            continue
        bad = ~np.isfinite(values)
        if bad.any():
            frame, place = np.argwhere(bad)[0]
            what = data.index.names(name)[place]
            found.append(data.finding("NaN", f"{name}: {bad.sum()} values, the first is {what} at frame {frame}"))
    return found


def _jumps(data: EpisodeData) -> list[Finding]:
    if data.spec is None or STATE not in data.columns or data.columns[STATE].shape[0] < 2:
        return []
    joints, places = _joints(data, STATE)
    period_s = 1.0 / data.index.fps
    lead = _camera_topic(data)
    seen = data.stamps(lead) if lead else None
    # Measurements are of the pictures' times, which may lie further apart than frames.
    elapsed = np.full(len(data.columns[STATE]) - 1, period_s) if seen is None else np.diff(seen) / 1e9
    limit = data.spec.velocity_rad_s[data.spec.index(joints)]
    allowed = _SPEED_MARGIN * limit * np.maximum(elapsed, period_s)[:, None] + _JUMP_RAD
    step = np.abs(np.diff(data.columns[STATE][:, places], axis=0))
    found = _steps(data, step - allowed, step, joints, "jump", True)
    if ACTION in data.columns:
        names, where = _joints(data, ACTION)
        change = np.abs(np.diff(data.columns[ACTION][:, where], axis=0))
        found += _steps(data, change - _COMMAND_STEP_RAD, change, names, "target jump", False)
    return found


def _steps(
    data: EpisodeData, excess: np.ndarray, step: np.ndarray, names: list[str], rule: str, is_error: bool
) -> list[Finding]:
    if not (excess > 0).any():
        return []
    frame, place = np.unravel_index(np.argmax(excess), excess.shape)
    text = f"{names[place]} moves {step[frame, place]:.3f} rad from frame {frame} to {frame + 1}"
    more = int((excess > 0).any(axis=1).sum()) - 1
    return [data.finding(rule, text + (f", and {more} more such steps" if more else ""), is_error)]


def _stuck(data: EpisodeData) -> list[Finding]:
    """A joint whose reading never changes although it is commanded to move; without command: a warning."""
    if data.spec is None or STATE not in data.columns:
        return []
    state, n = data.columns[STATE], len(data.columns[STATE])
    if n < _STUCK_S * data.index.fps:
        return []
    joints, places = _joints(data, STATE)
    still = [j for j, p in zip(joints, places, strict=True) if np.ptp(state[:, p]) == 0.0]
    if len(still) == len(joints):
        return [data.finding("stuck joints", "no joint's reading ever changes")]
    commanded = dict(zip(*_joints(data, ACTION), strict=True)) if ACTION in data.columns else {}
    moved = [j for j in still if j in commanded and np.ptp(data.columns[ACTION][:, commanded[j]]) > _STUCK_COMMAND_RAD]
    found = [data.finding("stuck joints", f"{j} is commanded but its reading never changes") for j in moved]
    rest = [j for j in still if j not in moved]
    if rest:
        found.append(data.finding("stuck joints", f"readings that never change: {', '.join(rest)}", False))
    return found


def _ranges(data: EpisodeData) -> list[Finding]:
    """Fractions within 0..1, flags -1, 0, 1, gravity of length 1, joints within their limits."""
    found = []
    for feature in data.contract.features.values() if data.contract else ():
        if feature.is_video or feature.name not in data.columns:
            continue
        begin = 0
        for part in feature.parts:
            values = data.columns[feature.name][:, begin : begin + len(part.names)]
            begin += len(part.names)
            if part.unit == "fraction" and (
                values.min() < -_FRACTION_MARGIN or values.max() > 1.0 + _FRACTION_MARGIN
            ):
                text = f"{', '.join(part.names)} must be within 0..1, found {values.min():.2f} to {values.max():.2f}"
                found.append(data.finding("range", text))
            if set(part.fields) <= {"s_x", "s_y", "s_yaw"} and not np.isin(values, (-1, 0, 1)).all():
                found.append(data.finding("range", f"{', '.join(part.names)} must be -1, 0 or 1"))
            if part.transform == "projected_gravity" and np.abs(np.linalg.norm(values, axis=1) - 1).max() > 0.01:
                found.append(data.finding("range", "the gravity vector is not of length 1"))
    if data.spec is not None and STATE in data.columns:
        joints, places = _joints(data, STATE)
        order = data.spec.index(joints)
        state = data.columns[STATE][:, places]
        beyond = (state < data.spec.lower_rad[order] - _LIMIT_MARGIN_RAD) | (
            state > data.spec.upper_rad[order] + _LIMIT_MARGIN_RAD
        )
        names = [j for j, bad in zip(joints, beyond.any(axis=0), strict=True) if bad]
        if names:
            found.append(data.finding("range", f"beyond the joint limits: {', '.join(names)}", False))
    return found


def _rates(data: EpisodeData) -> list[Finding]:
    """Each stream that features use against the rate that the contract promises."""
    found = []
    frame = data.stamps("frame")
    lead = _camera_topic(data)
    # Measurements are taken at the pictures' times, so they cannot be newer than those.
    pictures_hz = (data.contract.topics[lead].rate_hz if lead else None) or float(data.index.fps)
    for key, topic in (data.contract.topics if data.contract else {}).items():
        stamps = data.stamps(key)
        if stamps is None or frame is None or topic.rate_hz is None or len(stamps) < data.index.fps:
            continue
        seconds = (stamps[-1] - stamps[0]) / 1e9
        rate = (len(np.unique(stamps)) - 1) / max(seconds, 1e-3)
        expected = min(topic.rate_hz, data.index.fps, pictures_hz if _is_observed(data, key) else np.inf)
        if rate < _LOW_RATE * expected:
            text = f"{topic.topic} gives {rate:.1f} new samples a second, {expected:g} expected"
            found.append(data.finding("rate", text))
    return found


def _skew(data: EpisodeData) -> list[Finding]:
    """Arm action and locomotion command must be of the same moment."""
    arm, loco = data.stamps("arm_target"), data.stamps("loco_command")
    if arm is None or loco is None:
        return []
    skew_ms = np.abs(arm - loco) / 1e6
    if np.quantile(skew_ms, 0.99) <= _SKEW_MS:
        return []
    share = float((skew_ms > _SKEW_MS).mean())
    return [
        data.finding(
            "skew", f"arm target and locomotion command are up to {skew_ms.max():.0f} ms apart ({share:.0%} of frames)"
        )
    ]


def _future(data: EpisodeData) -> list[Finding]:
    """No sample may be younger than its frame; stamps must not go back."""
    frame = data.stamps("frame")
    if frame is None:
        return []
    found = []
    for name in data.index.names(STAMPS):
        stamps = data.stamps(name)
        if name.endswith("_received"):
            continue
        if (stamps > frame).any():
            found.append(data.finding("stamps", f"{name}: {(stamps > frame).sum()} samples are of the future"))
        if (np.diff(stamps) < 0).any():
            found.append(data.finding("stamps", f"{name}: stamps go back"))
    return found


def _account(data: EpisodeData) -> list[Finding]:
    """What the conversion noted."""
    if data.number >= len(data.index.provenance):
        return []
    return [data.finding("recording", text, False) for text in data.index.provenance[data.number]["warnings"]]


def _joints(data: EpisodeData, feature: str) -> tuple[list[str], list[int]]:
    """Names of the robot's joints among a feature's values, and their places."""
    known = set(data.spec.joint_names)
    pairs = [(name, place) for place, name in enumerate(data.index.names(feature)) if name in known]
    return [name for name, _ in pairs], [place for _, place in pairs]


def _is_observed(data: EpisodeData, key: str) -> bool:
    features = data.contract.features.values()
    return any(p.topic == key for f in features if f.name.startswith("observation.") for p in f.parts)


def _camera_topic(data: EpisodeData) -> str | None:
    if data.contract is None:
        return None
    return next((f.parts[0].topic for f in data.contract.features.values() if f.is_video), None)
