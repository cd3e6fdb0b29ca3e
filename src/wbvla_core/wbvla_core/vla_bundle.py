"""The section of a VLA bundle: what the node must know to feed the model and to read its output."""

from __future__ import annotations

from dataclasses import dataclass

FLAG_ACTIONS = ("s_x", "s_y", "s_yaw", "h")
VELOCITY_ACTIONS = ("v_x", "v_y", "w_z", "h")
TOKENIZERS = ("none",)


@dataclass(frozen=True)
class ImageSection:
    """``crop`` = left, top, right, bottom as fractions of the picture; then resized to ``width`` x
    ``height``; then ``(rgb / 255 - mean) / std`` per channel."""

    crop: tuple[float, float, float, float]
    width: int
    height: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        left, top, right, bottom = self.crop
        if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
            raise ValueError(f"crop {self.crop} must be left < right, top < bottom within 0..1")
        if not (8 <= self.width <= 1024 and 8 <= self.height <= 1024):
            raise ValueError(f"width {self.width} and height {self.height} must be within 8..1024")
        if min(self.std) <= 0.0:
            raise ValueError(f"std {self.std} must be positive")


@dataclass(frozen=True)
class TokenizerSection:
    """How the sentence becomes numbers: ``kind`` "none" (the model sees no language), ``file`` its vocabulary
    ("" for none), ``length`` tokens handed to the model (0 for none)."""

    kind: str
    file: str
    length: int

    def __post_init__(self) -> None:
        if self.kind not in TOKENIZERS:
            raise ValueError(f"kind {self.kind!r} is unknown; known are {', '.join(TOKENIZERS)}")


@dataclass(frozen=True)
class StatisticsSection:
    """Mean and standard deviation of each value; the model sees and gives ``(value - mean) / std``."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} values, std {len(self.std)}")
        if self.std and min(self.std) <= 0.0:
            raise ValueError("std must be positive")


@dataclass(frozen=True)
class VlaSection:
    """All that a VLA needs besides its network.

    ``network``: ONNX file with inputs ``image`` [1, 3, H, W] and ``state`` [1, S], output ``action`` [1, T,
    A], all float32. ``state_names`` [S] and ``action_names`` [A] must be the contract's; the last four
    actions are flags (s_x, s_y, s_yaw) or velocities (v_x, v_y, w_z), and the stance height h. Row i of a
    chunk is due at the observation's stamp + i * ``chunk_step_s``. ``codebooks``: hash of each latent
    action model's codebook by name, empty when the model has no latent actions.
    """

    network: str
    image: ImageSection
    tokenizer: TokenizerSection
    codebooks: dict[str, str]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    chunk_length: int
    chunk_step_s: float
    state_statistics: StatisticsSection
    action_statistics: StatisticsSection

    def __post_init__(self) -> None:
        if self.action_names[-4:] not in (FLAG_ACTIONS, VELOCITY_ACTIONS):
            raise ValueError(
                f"action_names end with {self.action_names[-4:]}; "
                f"they must end with {FLAG_ACTIONS} or {VELOCITY_ACTIONS}"
            )
        if not 1 <= self.chunk_length <= 64:
            raise ValueError(f"chunk_length {self.chunk_length} must be within 1..64")
        if not 0.0 < self.chunk_step_s <= 1.0:
            raise ValueError(f"chunk_step_s {self.chunk_step_s} must be within 0..1 s")
        for what, statistics, names in (
            ("state", self.state_statistics, self.state_names),
            ("action", self.action_statistics, self.action_names),
        ):
            if len(statistics.mean) != len(names):
                raise ValueError(
                    f"{what}_statistics has {len(statistics.mean)} values for {len(names)} {what}_names"
                )

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Joints and grippers that the model commands, in the order of its action."""
        return self.action_names[:-4]

    @property
    def uses_flags(self) -> bool:
        return self.action_names[-4:] == FLAG_ACTIONS
