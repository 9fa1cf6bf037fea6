"""SGLang's arguments as it resolves them: what an engine will be, before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sglang.srt.arg_groups.model_override_base import resolved_view
from sglang.srt.arg_groups.overrides import model_config_of, post_capture_kv_sizing_planned
from sglang.srt.configs.hybrid_arch import mambaish_config
from sglang.srt.configs.model_config import AttentionArch, is_deepseek_dsa
from sglang.srt.plugins import load_plugins
from sglang.srt.server_args import ServerArgs

from scalesim.deployments.engine import modes
from scalesim.errors import ConfigurationError
from scalesim.settings import EngineSettings


def resolved(settings: EngineSettings, arguments: Mapping[str, Any]) -> Any:
    """Return SGLang's `ServerArgs`, for an engine in no mode that is refused.

    Raises:
        ConfigurationError: It would be in one, or SGLang refuses the arguments itself.
    """
    load_plugins()  # ours adds a choice
    try:
        args = ServerArgs(**arguments)
        model = model_config_of(args)
    except (ValueError, AssertionError, TypeError, NotImplementedError) as error:
        raise ConfigurationError(
            f"SGLang cannot run with these arguments ({error}): see engine.extra_args"
        ) from error
    modes.check(
        modes.ResolvedEngine(
            settings,
            resolved_view(args),
            model,
            is_recurrent=mambaish_config(model) is not None,
            is_latent=model.attention_arch == AttentionArch.MLA,
            is_indexed=is_deepseek_dsa(model.hf_config),
            sizes_kv_late=bool(post_capture_kv_sizing_planned(args)),
        )
    )
    return args
