"""Steps of sampling that a request's fields alone can ask for, run as they are written.

SGLang has `torch.compile` compile them at their first use, in the middle of a pass: on a busy
machine that takes longer than an engine may be silent, and it is replaced as one that hangs.
"""

from __future__ import annotations

from sglang.srt.layers import sampler
from sglang.srt.sampling import sampling_batch_info
from sglang.srt.sampling.penaltylib import repetition_penalty

COMPILED = (
    (repetition_penalty, "apply_scaling_penalties"),  # repetition_penalty
    (sampling_batch_info, "apply_scaling_penalties"),
    (sampler, "multinomial_with_seed"),  # seed
)


def run_eagerly() -> None:
    """Take `torch.compile` off these steps; call in the scheduler process. Idempotent."""
    for module, name in COMPILED:
        step = getattr(module, name)
        setattr(module, name, getattr(step, "_torchdynamo_orig_callable", step))
