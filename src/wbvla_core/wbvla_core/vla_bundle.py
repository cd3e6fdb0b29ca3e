"""The section of a VLA bundle: what the node must know to feed the model and to read its output."""

from __future__ import annotations

from dataclasses import dataclass

FLAG_ACTIONS = ("s_x", "s_y", "s_yaw", "h")
VELOCITY_ACTIONS = ("v_x", "v_y", "w_z", "h")
TOKENIZERS = ("none", "pieces", "huggingface")
SINGLE = ("policy",)
STAGES = ("vision", "language", "decoder")
FLAG_CLASSES = (-1, 0, 1)
DECODINGS = ("none", "parallel", "autoregressive")


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
    ("" for none) of ``size`` tokens and ``hash``, ``length`` tokens handed to the model (0 for none)."""

    kind: str
    file: str
    length: int
    size: int
    hash: str

    def __post_init__(self) -> None:
        if self.kind not in TOKENIZERS:
            raise ValueError(f"kind {self.kind!r} is unknown; known are {', '.join(TOKENIZERS)}")
        if (self.kind == "none") != (self.length == 0):
            raise ValueError(f"length {self.length} does not go with kind {self.kind!r}")


@dataclass(frozen=True)
class CodebookSection:
    """A latent action model's codes: ``tokens`` an observation, each one of ``codes``; ``hash`` of its codebook ("" when
    the model was trained without labels of a latent action model)."""

    tokens: int
    codes: int
    hash: str

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.codes < 2:
            raise ValueError(f"tokens {self.tokens} must be 1 or more, codes {self.codes} 2 or more")


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
    """All that a VLA needs besides its networks. Everything is float32 unless said otherwise, batch 1.

    ``networks``: ONNX files by stage. Either ``policy`` alone: ``image`` [1, 3, H, W] and ``state`` [1, S] to
    ``action`` [1, T, A]. Or three:
      vision: ``image`` to ``features`` [1, P, D];
      language: ``features``, ``tokens`` int64 [1, L] and, decoding autoregressively, ``codes`` int64 [1, N] (those
        found so far) to ``hidden`` [1, N, D], ``visual`` [1, P, D] and ``logits_<name>`` [1, n, codes] of each codebook;
      decoder: ``hidden``, ``visual``, ``state`` to ``action`` [1, T, A], ``progress`` [1, 1] in 0..1 and, with
        ``flag_classes``, ``flags`` [1, T, 3, 3], logits of s_x, s_y, s_yaw being -1, 0, 1 (the columns of ``action`` under
        them mean nothing then).
    ``weights``, ``model``: the same in torch's form (safetensors, JSON configuration), "" when not there.
    ``state_names`` [S] and ``action_names`` [A] must be the contract's; the last four actions are flags (s_x, s_y,
    s_yaw) or velocities (v_x, v_y, w_z), and the stance height h. Row i of a chunk is due at the observation's stamp
    + i * ``chunk_step_s``. ``codebooks``: by name, "mani" for manipulation and "loco" for locomotion, in the order of the
    code tokens; empty when the model has no latent actions.
    """

    networks: dict[str, str]
    weights: str
    model: str
    decoding: str
    image: ImageSection
    tokenizer: TokenizerSection
    codebooks: dict[str, CodebookSection]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    flag_classes: tuple[int, ...]
    chunk_length: int
    chunk_step_s: float
    state_statistics: StatisticsSection
    action_statistics: StatisticsSection

    def __post_init__(self) -> None:
        if tuple(self.networks) not in (SINGLE, STAGES):
            raise ValueError(
                f"networks has {', '.join(self.networks)}; expected {SINGLE[0]}, or {', '.join(STAGES)}"
            )
        if self.decoding not in DECODINGS or (self.decoding == "none") != (not self.staged):
            raise ValueError(
                f"decoding is {self.decoding!r}; expected 'none' for one network, else one of {DECODINGS[1:]}"
            )
        if self.staged != bool(self.codebooks) or self.staged != (self.tokenizer.kind != "none"):
            raise ValueError("codebooks and tokenizer go with the stages vision, language, decoder")
        if self.action_names[-4:] not in (FLAG_ACTIONS, VELOCITY_ACTIONS):
            raise ValueError(
                f"action_names end with {self.action_names[-4:]}; "
                f"they must end with {FLAG_ACTIONS} or {VELOCITY_ACTIONS}"
            )
        if self.flag_classes not in ((), FLAG_CLASSES) or (self.flag_classes and not self.uses_flags):
            raise ValueError(f"flag_classes {self.flag_classes} must be {FLAG_CLASSES}, or empty")
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
    def staged(self) -> bool:
        """Whether there are three networks instead of one."""
        return tuple(self.networks) == STAGES

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Joints and grippers that the model commands, in the order of its action."""
        return self.action_names[:-4]

    @property
    def uses_flags(self) -> bool:
        return self.action_names[-4:] == FLAG_ACTIONS

    @property
    def code_tokens(self) -> int:
        """Latent code tokens of one observation, all codebooks together."""
        return sum(book.tokens for book in self.codebooks.values())
