"""First module imported in every engine process: prepares a CPU machine, then runs SGLang.

SGLang spawns its scheduler and detokenizer; handing it these functions makes the child import
this module before any of SGLang, which is the moment the CPU shims need.
"""

from __future__ import annotations

from typing import Any

import torch

HAS_GPU = torch.cuda.is_available()

if not HAS_GPU:
    from deployments.engine import cpu

    cpu.install()


def run_scheduler(*args: Any, **kwargs: Any) -> None:
    """Scheduler process: SGLang's own, on a CPU with its host tier patched."""
    from sglang.srt.managers.scheduler import run_scheduler_process

    if not HAS_GPU:
        cpu.patch_host_tier()
    run_scheduler_process(*args, **kwargs)


def run_detokenizer(*args: Any, **kwargs: Any) -> None:
    """Detokenizer process: SGLang's own."""
    from sglang.srt.managers.detokenizer_manager import run_detokenizer_process

    run_detokenizer_process(*args, **kwargs)
