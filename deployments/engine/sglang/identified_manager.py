"""SGLang's tokenizer manager as our endpoints call it: requests with identity, answers noted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.exceptions import HTTPException

from scalesim.deployments.engine.admission import EngineLimits, FieldNames, admit
from scalesim.deployments.engine.engine_calls import UNDER_WAY, EngineCall
from scalesim.deployments.engine.flags import in_our_names
from scalesim.deployments.engine.identity_envelope import hints, salted
from scalesim.deployments.engine.sglang.limits import tokenized
from scalesim.deployments.engine.sglang.requests_under_way import hear_of_first_token
from scalesim.deployments.tracing import carrier
from scalesim.errors import (
    AnswerAbortedError,
    InvalidRequestError,
    ReplicaUnavailableError,
    ScaleSimError,
)
from scalesim.headers import CachedTokens

_ABORTED = "the engine gave up this request half way, without an answer: send it again"


class IdentifiedManager:
    """SGLang's tokenizer manager; requests leave it with identity, answers pass through noted.

    Every request passes here with its prompts tokenized, before any part of it is in the engine.
    """

    def __init__(self, manager: Any, limits: EngineLimits) -> None:
        self._manager = manager
        self._limits = limits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    async def generate_request(self, request: Any, raw: Any = None) -> AsyncIterator[Any]:
        one = UNDER_WAY.get()
        names = FieldNames.of(one.call.body)
        prompts = await tokenized(self._manager, request)
        try:
            admit(prompts, request.sampling_params, self._limits, names)
        except InvalidRequestError as error:
            one.fault = error
            raise ValueError(str(error)) from error  # what SGLang's endpoints take as refused
        # SGLang then makes its own, which cannot be guessed and none of which begins another: it
        # ends every request whose id begins with the one it is asked to end.
        request.rid = None
        request.external_trace_header = carrier()
        request.kv_hints = hints(one.call.key, one.call.next_use, one.model)
        request.priority = one.call.step
        request.lora_path = one.adapter
        request.cache_salt = salted(one.call.salt, one.model)
        whole = not request.stream
        if one.call.under_suspicion and len(prompts) == 1 and one.call.body.get("n") in (None, 1):
            hear_of_first_token(self._manager, request)
        answers = self._manager.generate_request(request, raw)
        one.requests.append(request)
        one.answers.append(answers)
        try:
            # Closing it aborts what it started, and nothing else.
            async with aclosing(answers):
                async for answer in answers:
                    parts = [part["meta_info"] for part in _listed(answer)]
                    self._note(one, parts, names, whole)
                    one.turn.close()
                    if whole and any(part["finish_reason"] is None for part in parts):
                        continue
                    yield answer
        except (ValueError, HTTPException) as error:
            if one.fault is None:
                detail = getattr(error, "detail", error)
                one.fault = _fault(getattr(error, "status_code", 400), str(detail), names)
            raise

    def _note(
        self, one: EngineCall, parts: list[dict[str, Any]], names: FieldNames, whole: bool
    ) -> None:
        """Note what an answer says of its request; raise where it is not an answer."""
        if (whole or not one.generated) and (fault := _refusal(parts, names)) is not None:
            one.fault = fault
            raise ValueError(str(fault))
        if any(_is_aborted(meta) for meta in parts):
            one.fault = AnswerAbortedError(_ABORTED)
            raise one.fault
        one.found = _found(parts[0])
        one.generated |= {meta["id"]: meta.get("completion_tokens", 0) for meta in parts}


def _listed(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else [answer]


def _is_aborted(meta: dict[str, Any]) -> bool:
    """Return whether SGLang gave a request up; where it has a status, it makes an error of that."""
    reason = meta.get("finish_reason")
    if not isinstance(reason, dict):
        return False
    return reason.get("type") == "abort" and not reason.get("status_code")


def _refusal(parts: list[dict[str, Any]], names: FieldNames) -> ScaleSimError | None:
    """Return why an engine refused a request before its first token; a stream tells it as text."""
    for meta in parts:
        reason = meta.get("finish_reason")
        if isinstance(reason, dict) and reason.get("type") == "abort" and reason.get("status_code"):
            return _fault(reason["status_code"], str(reason.get("message")), names)
    return None


_FORMAT_FAULTS = ("Failed to compile", "Grammar accept_token failed", "Grammar preprocessing")
"""How SGLang begins to say that a grammar is wrong, or that no token of the model goes on in it."""


def _fault(status: int, message: str, names: FieldNames) -> ScaleSimError:
    """Return what a refusal of SGLang's is to the caller."""
    if message.startswith(_FORMAT_FAULTS):
        return InvalidRequestError(
            f"{names.format}: the model cannot answer so: {in_our_names(message)}", names.format
        )
    fault = InvalidRequestError if status < 500 else ReplicaUnavailableError
    return fault(in_our_names(message))


def _found(meta: dict[str, Any]) -> CachedTokens:
    details = meta.get("cached_tokens_details") or {}
    return CachedTokens(
        prompt=meta.get("prompt_tokens", 0),
        device=details.get("device", 0),
        host=details.get("host", 0),
        storage=details.get("storage", 0),
    )
