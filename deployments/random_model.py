"""A seeded random-weight Llama with a one-word-one-token tokenizer, built without a download.

Speed and cache behaviour do not depend on weight values, so demos, tests and benchmarks use it. It
answers in words; where a grammar leaves it no word, as in JSON, in characters.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

WORDS = 1021
"""Words `w0` .. `w1020`; any other word is `<unk>`."""

_CHARACTERS = [chr(code) for code in range(ord("!"), ord("~") + 1)]
"""Tokens beside the words: printable ASCII without the space, so that JSON has no gaps."""

_TOKENS = 3 + WORDS + len(_CHARACTERS)

_FAINT = 0.1
"""Scale of what leads to characters, so that words win wherever both may stand."""

_CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a Llama; `kv_bytes_per_token` assumes two bytes a value."""

    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    positions: int = 8192


SHAPES = {
    "micro": Shape(32, 64, 1, 2, 1, 16, 65536),
    "tiny": Shape(128, 256, 2, 4, 2, 32),
    "small": Shape(512, 1408, 8, 8, 4, 64),
    "wide": Shape(1024, 1024, 4, 32, 32, 128),
}
"""`micro` answers in the place of a model whose times are emulated. On a CPU `tiny` answers in
milliseconds; `small` (25M parameters) makes recompute cost some. On a GPU `wide` (130 kB of KV a
token in float32) takes longer to copy than to compute."""


def build(path: str | Path, *, seed: int = 0, size: str = "small") -> Path:
    """Write model and tokenizer to `path` and return it; does nothing if it is already there.

    Args:
        path: Folder to create.
        seed: Seed of the weights.
        size: A key of `SHAPES`.
    """
    target = Path(path)
    recipe = {"seed": seed, "size": size, "tokens": _TOKENS, **asdict(SHAPES[size])}
    marker = target / "recipe.json"
    if marker.exists() and json.loads(marker.read_text()) == recipe:
        return target
    target.mkdir(parents=True, exist_ok=True)
    _save_tokenizer(target)
    _save_weights(target, SHAPES[size], seed)
    marker.write_text(json.dumps(recipe))
    return target


def _save_tokenizer(target: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2}
    vocabulary |= {f"\u0120w{i}": 3 + i for i in range(WORDS)}  # with its space, in bytes' letters
    vocabulary |= {char: 3 + WORDS + i for i, char in enumerate(_CHARACTERS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    spaced = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), spaced])
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        chat_template=_CHAT_TEMPLATE,
    ).save_pretrained(str(target))


def _save_weights(target: Path, shape: Shape, seed: int) -> None:
    from scalesim.deployments.engine import boot  # noqa: F401  prepares torchvision on a CPU machine

    import torch  # isort: skip
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    config = LlamaConfig(
        vocab_size=WORDS + 3,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.positions,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )
    logging.disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        words = LlamaForCausalLM(config)
        config.vocab_size += len(_CHARACTERS)
        model = LlamaForCausalLM(config)
        weights = model.state_dict()
        for name, values in words.state_dict().items():
            weights[name][: len(values)] = values  # the same as without characters
        model.lm_head.weight.data[len(words.lm_head.weight) :] *= _FAINT
        model.to(torch.bfloat16).save_pretrained(str(target))
