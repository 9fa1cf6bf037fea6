"""Requests to a scheduler in this process, and what came back of them."""

from __future__ import annotations

import itertools
from array import array
from dataclasses import dataclass
from typing import Any

from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.identity_envelope import hints


@dataclass(slots=True)
class EmulatedRequest:
    """A request that was sent, and what came back so far.

    Attributes:
        rid: Its id.
        key: Agent.
        done: Whether it was answered.
        first_s: When its first token came, by the device's clock.
        done_s: When the last one did.
        tokens: The answer; what there was of it where it was aborted.
        meta: `output_token_logprobs` and `finish_reason` as SGLang's replies have them, and where
            the prompt was found.
    """

    rid: str
    key: int | None
    done: bool = False
    first_s: float = 0.0
    done_s: float = 0.0
    tokens: list[int] | None = None
    meta: dict[str, Any] | None = None


class InlineRequests:
    """Makes requests, and follows them to their end.

    Args:
        clock: Clock of the device.

    Attributes:
        incoming: Messages that the scheduler has not received yet.
        answers: What it said besides answers to requests, and nobody read yet.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.incoming: list[Any] = []
        self.answers: list[Any] = []
        self._clock = clock
        self._asked: dict[str, EmulatedRequest] = {}
        self._rids = itertools.count()

    def take_incoming(self) -> list[Any]:
        """Return the messages that the scheduler has not received yet, once."""
        incoming, self.incoming = self.incoming, []
        return incoming

    def ask(
        self, ids: list[int], output_tokens: int, key: int | None = None, **more: Any
    ) -> EmulatedRequest:
        """Send a greedy request; see `EmulatedRequest`.

        Args:
            ids: Ids of the prompt.
            output_tokens: To generate, past the end token.
            key: The agent.
            more: Its `next_use` and `model`, as `identity_envelope.hints` has them; other fields
                of `TokenizedGenerateReqInput`.
        """
        from sglang.srt.managers.io_struct import TokenizedGenerateReqInput
        from sglang.srt.managers.kv_hints import decode_kv_hints_envelope
        from sglang.srt.sampling.sampling_params import SamplingParams

        next_use, model = more.pop("next_use", None), more.pop("model", "")
        envelope = None if key is None else hints(key, next_use, model)
        asked = EmulatedRequest(f"r{next(self._rids)}", key)
        sampling = SamplingParams(
            max_new_tokens=output_tokens,
            temperature=0.0,
            ignore_eos=True,
            skip_special_tokens=False,
        )
        sampling.normalize(None)
        fields = {
            "input_text": None,
            "input_embeds": None,
            "mm_inputs": None,
            "token_type_ids": None,
            "return_logprob": True,
            "logprob_start_len": -1,
            "top_logprobs_num": 2,
            "token_ids_logprob": None,
            "stream": False,
            "kv_hints": None if envelope is None else decode_kv_hints_envelope(envelope),
        }
        self.incoming.append(
            TokenizedGenerateReqInput(
                rid=asked.rid,
                input_ids=array("q", ids),
                sampling_params=sampling,
                **{**fields, **more},
            )
        )
        self._asked[asked.rid] = asked
        return asked

    def abort(self, asked: EmulatedRequest) -> None:
        """Take a request back."""
        from sglang.srt.managers.io_struct import AbortReq

        self.incoming.append(AbortReq(rid=asked.rid))

    def answered(self, output: Any, received: Any = None) -> None:
        """Take what the scheduler sends, in place of its sockets."""
        from sglang.srt.managers.io_struct import AbortReq, BatchTokenIDOutput

        if isinstance(output, AbortReq):
            asked = self._asked.pop(output.rid, None)
            if asked is not None:
                asked.done, asked.tokens, asked.meta = (
                    True,
                    [],
                    {"finish_reason": {"type": "abort"}},
                )
        elif isinstance(output, BatchTokenIDOutput):
            for place, rid in enumerate(output.rids or ()):
                self._take(output, place, rid)
        else:
            self.answers.append(output)

    def _take(self, output: Any, place: int, rid: str) -> None:
        asked = self._asked.get(rid)
        if asked is None:
            return
        asked.done_s = self._clock.now()
        asked.first_s = asked.first_s or asked.done_s
        asked.tokens = (asked.tokens or []) + list(output.output_ids[place])
        reason = output.finished_reasons[place]
        if reason is None:
            return
        del self._asked[rid]
        top = [output.output_top_logprobs_val, output.output_top_logprobs_idx]
        values = output.output_token_logprobs_val
        asked.meta = {
            "finish_reason": reason,
            "cached_tokens_details": output.cached_tokens_details[place],
            "prompt_tokens": output.prompt_tokens[place],
            "output_token_logprobs": [(value,) for value in values[place]] if values else [],
            "output_top_logprobs": [
                list(zip(*pair, strict=True))
                for pair in zip(*(column[place] for column in top), strict=True)
            ]
            if top[0]
            else [],
        }
        asked.done = True
