"""Environment variables by which OpenAI clients and agent frameworks find the stack."""

from __future__ import annotations

from collections.abc import Mapping

from scalesim.proxies import without_proxy_here

_BASE_URLS = (
    "OPENAI_BASE_URL",  # the OpenAI SDK, litellm, LangChain, CrewAI
    "OPENAI_API_BASE",  # litellm, LangChain, CrewAI
    "OPENAI_API_BASE_URL",  # CAMEL
    "OPENAI_COMPATIBLE_MODEL_API_BASE_URL",  # CAMEL
    "HOSTED_VLLM_API_BASE",  # litellm
    "VLLM_BASE_URL",  # CrewAI's `hosted_vllm/` models
    "AGENTSOCIETY_LLM_API_BASE",  # agentsociety2
    "AGENTSOCIETY_NANO_LLM_API_BASE",
    "AGENTSOCIETY_CODER_LLM_API_BASE",
)
_KEYS = (
    "OPENAI_API_KEY",
    "OPENAI_COMPATIBLE_MODEL_API_KEY",
    "HOSTED_VLLM_API_KEY",
    "VLLM_API_KEY",
    "AGENTSOCIETY_LLM_API_KEY",
    "AGENTSOCIETY_NANO_LLM_API_KEY",
    "AGENTSOCIETY_CODER_LLM_API_KEY",
)
_NO_KEY = "-"
"""Clients refuse to start without a key; a stack that has none takes any."""


def client_variables(base_url: str, api_key: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what is to be set so that clients call the stack.

    Args:
        base_url: Base URL of the stack, without `/v1`.
        api_key: API key of the stack; empty where it has none.
        environment: What is set already; proxies are set to leave this machine alone.
    """
    variables = dict.fromkeys(_BASE_URLS, f"{base_url.rstrip('/')}/v1")
    variables |= dict.fromkeys(_KEYS, api_key or _NO_KEY)
    return variables | without_proxy_here(environment)
