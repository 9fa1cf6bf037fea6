"""What the fields of chats and of text completions have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from scalesim.deployments.requests.kv_hints import KvHints
from scalesim.deployments.requests.request_model import RequestModel
from scalesim.deployments.requests.values import TokenId, listed

MOST_SEQUENCES = 256
"""Answers to one body, prompts times `n`: as many as a replica takes requests by default."""


class StreamOptions(RequestModel):
    """What a stream sends besides its text."""

    include_usage: bool = False
    """Token counts in a last chunk."""
    continuous_usage_stats: bool = False
    """Token counts in every chunk (vLLM and SGLang)."""
    include_obfuscation: bool = Field(False, exclude=True)
    """Accepted, without effect."""


Stop = Annotated[
    list[Annotated[str, StringConstraints(max_length=256)]],
    BeforeValidator(listed),
    AfterValidator(lambda stops: [stop for stop in stops if stop]),
    Field(max_length=32),
]

LogitBias = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")],
        Annotated[float, Field(ge=-100, le=100)],
    ],
    Field(max_length=1024),
]

Label = Annotated[str, StringConstraints(max_length=4096)]


class SharedFields(RequestModel):
    """Fields that both have."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=512)] = ""
    """What answers: the model served, `model:adapter`, or another one registered."""
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    """Lowers tokens by how often they were generated."""
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    """Lowers tokens that were generated."""
    logit_bias: LogitBias = Field(default_factory=dict)
    """Token ids of the vocabulary, and what is added to each."""
    n: int = Field(1, ge=1, le=128)
    """Answers to each prompt; prompts times `n` are 256 at most."""
    seed: int = Field(0, ge=-(2**63), le=2**63 - 1)
    """Seed of the sampling, where the engine is deterministic."""
    stop: Stop = Field(default_factory=list)
    """A string or several that end the answer; an empty one ends nothing."""
    stream: bool = False
    """Send the answer piece by piece."""
    stream_options: StreamOptions = StreamOptions()
    """`include_usage`, `continuous_usage_stats`."""
    temperature: float = Field(1.0, ge=0, le=2)
    """0 takes the likeliest token."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Share of probability that is sampled from."""
    max_tokens: int = Field(16, ge=1, le=2**31 - 1)
    """Longest answer; with its prompt it must fit `context_length` of `/v1/models`."""

    top_k: int = Field(-1, ge=-1, le=2**31 - 1)
    """Tokens sampled from; -1 and 0 are all (SGLang and vLLM)."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Least probability sampled from, as a share of the likeliest token's (SGLang and vLLM)."""
    repetition_penalty: float = Field(1.0, ge=0.01, le=2)
    """Divides the logits of tokens that were seen (SGLang and vLLM)."""
    min_tokens: int = Field(0, ge=0, le=2**31 - 1)
    """Shortest answer; not with a JSON schema (SGLang and vLLM)."""
    stop_token_ids: list[TokenId] = Field(default_factory=list, max_length=64)
    """Token ids of the vocabulary that end the answer (SGLang and vLLM)."""
    ignore_eos: bool = False
    """Go on to `max_tokens` (SGLang and vLLM)."""
    skip_special_tokens: bool = True
    """Leave special tokens out of the text (SGLang and vLLM)."""
    no_stop_trim: bool = False
    """Keep what ended the answer in the text (SGLang)."""

    user: str = Field("", exclude=True)
    """Names the agent where no header, `session_id` or `prompt_cache_key` does."""
    session_id: str = Field("", exclude=True)
    """Names the agent where no header does."""
    prompt_cache_key: str = Field("", exclude=True)
    """Names the agent where no header or `session_id` does."""
    kv_hints: KvHints = Field(default_factory=KvHints.empty, exclude=True)
    """Envelope of hints: who asks, what the simulation knows. What is not ours is left alone."""
