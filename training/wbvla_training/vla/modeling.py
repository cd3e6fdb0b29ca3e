"""The model: fused vision encoders, projector, Llama over [picture][sentence][code tokens], execution decoder.

Built from the parts of ``transformers``, so that published weights of any of them load by name or folder.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from .configuration import EncoderConfig, VlaConfig
from .decoders import Decoded, ExecutionDecoder
from .errors import VlaError
from .parts import Parts, dinov2_part, language_part, siglip_part


@dataclass(frozen=True)
class Reading:
    """What the language model made of it: ``hidden`` [B, N, D] where the code tokens are (or, decoding autoregressively,
    where each is foretold), ``visual`` [B, P, D] where the picture is, ``logits`` [B, n, codes] by codebook."""

    hidden: torch.Tensor
    visual: torch.Tensor
    logits: dict[str, torch.Tensor]


class FusedVision(nn.Module):
    """DINOv2 and SigLIP look at the same patches; their features are put side by side."""

    def __init__(self, config: VlaConfig, parts: Parts | None) -> None:
        super().__init__()
        self.layers = (config.dinov2.layer, config.siglip.layer)
        self.dinov2 = dinov2_part(config, parts)
        self.siglip = siglip_part(config, parts)
        for name, encoder in (("dinov2", config.dinov2), ("siglip", config.siglip)):
            shift, scale = _rescale(config, encoder)
            self.register_buffer(f"{name}_shift", shift, persistent=False)
            self.register_buffer(f"{name}_scale", scale, persistent=False)
        self.width = self.dinov2.config.hidden_size + self.siglip.config.hidden_size

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Features [B, P, width] of pictures [B, 3, H, W] scaled by the image section."""
        dino = image * self.dinov2_scale + self.dinov2_shift
        first = self.dinov2(dino, output_hidden_states=True)
        dino_features = (
            first.hidden_states[self.layers[0]] if self.layers[0] != -1 else first.last_hidden_state
        )
        registers = getattr(self.dinov2.config, "num_register_tokens", 0)
        second = self.siglip(image * self.siglip_scale + self.siglip_shift, output_hidden_states=True)
        siglip_features = (
            second.hidden_states[self.layers[1]] if self.layers[1] != -1 else second.last_hidden_state
        )
        return torch.cat((dino_features[:, 1 + registers :], siglip_features), dim=-1)


class VlaModel(nn.Module):
    """See the module. ``vocabulary``: tokens of the tokenizer; after them (and what else the language model has) come
    the codes of each codebook, then one token for each place of a code. ``parts``: shapes of a saved model's parts,
    whose weights follow; without them they are made, or loaded from their source."""

    def __init__(
        self,
        config: VlaConfig,
        vocabulary: int,
        pad: int,
        state_names: tuple[str, ...],
        actions: int,
        parts: Parts | None = None,
    ) -> None:
        super().__init__()
        self.config, self.pad = config, pad
        self.vision = FusedVision(config, parts)
        self.language = language_part(config, vocabulary, parts)
        width = self.language.config.hidden_size
        seen = self.vision.width
        self.projector = nn.Sequential(
            nn.Linear(seen, 4 * seen),
            nn.GELU(),
            nn.Linear(4 * seen, width),
            nn.GELU(),
            nn.Linear(width, width),
        )
        begin, self.ranges = self._begin(vocabulary, parts is not None), {}
        for name, book in config.codebooks.items():
            self.ranges[name] = (begin, begin + book.codes)
            begin += book.codes
        self.slots = (begin, begin + config.code_tokens)
        self._resize(self.slots[1])
        unknown = set(config.decoder.blind) - set(state_names)
        if unknown:
            raise VlaError(
                f"configuration {config.name}: decoder.blind names {sorted(unknown)[0]}, which is no state"
            )
        eyes = torch.tensor([name not in config.decoder.blind for name in state_names])
        self.decoder = ExecutionDecoder(config.decoder, width, len(state_names), actions, eyes)

    def forward(
        self,
        image: torch.Tensor,
        tokens: torch.Tensor,
        state: torch.Tensor | None,
        codes: torch.Tensor | None = None,
    ) -> tuple[Reading, Decoded | None]:
        """Reading, and with ``state`` [B, S] a chunk; ``codes`` [B, N] are the true ones, for training (see read)."""
        known = None if codes is None else codes.clamp(min=0)
        reading = self.read(self.features(image), tokens, known)
        return reading, None if state is None else self.act(reading, state)

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """Picture tokens [B, P, D] of pictures [B, 3, H, W]."""
        return self.projector(self.vision(image))

    def read(
        self, features: torch.Tensor, tokens: torch.Tensor, codes: torch.Tensor | None = None
    ) -> Reading:
        """One pass of the language model over ``features`` [B, P, D] and ``tokens`` [B, L].

        Decoding in parallel, ``codes`` is not looked at. Autoregressively it holds [B, N] codes: each place's logits and
        hidden state depend on the codes before it only."""
        config, llama = self.config, self.language.model
        batch, patches, text, count = len(tokens), features.shape[1], tokens.shape[1], config.code_tokens
        embed = self.language.get_input_embeddings()
        if config.decoding == "parallel":
            places = torch.arange(*self.slots, device=tokens.device).expand(batch, -1)
        else:
            # Place i foretells code i: a start token, then the codes found so far.
            start = torch.full((batch, 1), self.slots[0], dtype=torch.long, device=tokens.device)
            offsets = self._offsets(tokens.device)
            assert codes is not None
            places = torch.cat((start, (codes + offsets)[:, :-1]), dim=1)
        written = embed(torch.cat((tokens, places), dim=1))
        # Start token, picture, rest of the sentence, codes: the order in which Prismatic was trained.
        inputs = torch.cat((written[:, :1], features.to(written.dtype), written[:, 1:]), dim=1)
        there = torch.cat((
            torch.ones(batch, 1 + patches, dtype=torch.bool, device=tokens.device),
            tokens[:, 1:] != self.pad,
            torch.ones(batch, count, dtype=torch.bool, device=tokens.device),
        ), dim=1)  # fmt: skip
        length = inputs.shape[1]
        mask = there[:, None, None, :].expand(-1, 1, length, -1)
        if config.language.attention == "causal":
            mask = mask & torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
        # Padding shall not push the codes away: positions count what is there.
        positions = there.long().cumsum(dim=1) - 1
        bias = torch.where(mask, 0.0, torch.finfo(inputs.dtype).min).to(inputs.dtype)
        found = llama(inputs_embeds=inputs, attention_mask=bias, position_ids=positions, use_cache=False)
        states = found.last_hidden_state
        hidden, visual = states[:, 1 + patches + text - 1 :], states[:, 1 : 1 + patches]
        logits, place = {}, 0
        head = self.language.get_output_embeddings().weight
        for name, book in config.codebooks.items():
            begin, end = self.ranges[name]
            logits[name] = hidden[:, place : place + book.tokens] @ head[begin:end].T
            place += book.tokens
        return Reading(hidden, visual, logits)

    def act(self, reading: Reading, state: torch.Tensor) -> Decoded:
        """A chunk for ``state`` [B, S], normalised."""
        return self.decoder(reading.hidden, reading.visual, state)

    def choose(self, features: torch.Tensor, tokens: torch.Tensor) -> Reading:
        """Reading with the model's own codes, as on the robot."""
        if self.config.decoding == "parallel":
            return self.read(features, tokens)
        codes = torch.zeros(len(tokens), self.config.code_tokens, dtype=torch.long, device=tokens.device)
        reading, place = None, 0
        for name, book in self.config.codebooks.items():
            for i in range(book.tokens):
                reading = self.read(features, tokens, codes)
                codes = codes.clone()
                codes[:, place] = reading.logits[name][:, i].argmax(dim=-1)
                place += 1
        assert reading is not None
        return reading

    def _offsets(self, device: torch.device) -> torch.Tensor:
        """What turns a code into its token [N]."""
        begins = [
            self.ranges[name][0] for name, book in self.config.codebooks.items() for _ in range(book.tokens)
        ]
        return torch.tensor(begins, device=device)

    def _begin(self, vocabulary: int, saved: bool) -> int:
        """The first token after those of the language model."""
        rows = self.language.get_input_embeddings().num_embeddings
        extra = sum(book.codes + book.tokens for book in self.config.codebooks.values())
        return rows - extra if saved else max(vocabulary, rows)

    def _resize(self, size: int) -> None:
        if self.language.get_input_embeddings().num_embeddings != size:
            self.language.resize_token_embeddings(size, mean_resizing=False)


def parameters(model: nn.Module) -> int:
    """Number of weights."""
    return sum(p.numel() for p in model.parameters())


def _rescale(config: VlaConfig, encoder: EncoderConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """From pixels scaled by the image section to this encoder's own scaling: x * scale + shift."""
    mean, std = torch.tensor(config.image.mean), torch.tensor(config.image.std)
    own_mean, own_std = torch.tensor(encoder.mean), torch.tensor(encoder.std)
    return ((mean - own_mean) / own_std)[None, :, None, None], (std / own_std)[None, :, None, None]
