"""What a request's fields ask for compiles nothing in an engine."""

from __future__ import annotations

import warnings

import pytest
import torch

from scalesim.deployments.engine import boot  # noqa: F401 - before SGLang


def test_no_field_of_a_request_has_an_engine_compile() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what SGLang imports
        from scalesim.deployments.engine.sglang.eager_sampling import COMPILED, run_eagerly

    with pytest.MonkeyPatch.context() as patch:
        for module, name in COMPILED:
            step = getattr(module, name)
            assert hasattr(step, "_torchdynamo_orig_callable"), "SGLang compiles it no more"
            patch.setattr(module, name, step)
        run_eagerly()
        run_eagerly()
        for module, name in COMPILED:
            assert not hasattr(getattr(module, name), "_torchdynamo_orig_callable")
        logits = torch.tensor([[2.0, -2.0]])
        penalties, *_ = (getattr(module, name) for module, name in COMPILED)
        penalties(logits, torch.tensor([[2.0, 2.0]]))
        assert logits.tolist() == [[1.0, -4.0]]
