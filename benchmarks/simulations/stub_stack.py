"""A stack without engines: real ingress, router and controller, replicas that answer at once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import ray
from ray import serve
from ray.serve.config import RequestRouterConfig

from scalesim.controller import actor
from scalesim.controller.catalog.embedded import serving
from scalesim.deployments.calls import AnswerEnd, AnswerHeader, AnswerPart, Call
from scalesim.deployments.ingress import Ingress
from scalesim.deployments.stack import SERVING
from scalesim.deployments.stack_address import Address
from scalesim.headers import CachedTokens
from scalesim.settings import EngineSettings, IngressSettings, StackSettings

_TEXT = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Good day!"}}]}\n\n'
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":3}}\n\n'


@serve.deployment
class StubStreams:
    """Answers every streamed request at once with the same."""

    async def stream(self, call: Call) -> AsyncIterator[AnswerPart]:
        """Yield the answer."""
        yield AnswerHeader(200, "text/event-stream", CachedTokens(100), "stub"), _TEXT
        yield AnswerEnd(_USAGE + b"data: [DONE]\n\n", 3)


@contextmanager
def stub_stack() -> Iterator[tuple[str, StackSettings]]:
    """Start it on a Ray of its own; yields its URL without `/v1`, and its settings."""
    os.environ.update(SERVING)
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    settings = StackSettings(
        engine=EngineSettings(model_path="none"), ingress=IngressSettings(port=0, processes=1)
    )
    try:
        with serving(settings.catalog) as catalog, Address("127.0.0.1", 0) as address:
            settings = settings.model_copy(update={"catalog": catalog})
            actor.start(settings)
            serve.start(proxy_location="Disabled")
            router = RequestRouterConfig(
                request_router_class="scalesim.deployments.router.ResidencyRouter"
            )
            stubs = StubStreams.options(  # type: ignore[attr-defined]
                num_replicas=2, max_ongoing_requests=1000, request_router_config=router,
                ray_actor_options={"num_cpus": 0},
            ).bind()  # fmt: skip
            ingress = Ingress.options(  # type: ignore[attr-defined]
                ray_actor_options={"num_cpus": 0},
                max_ongoing_requests=2000,
                logging_config={"enable_access_log": False},
            ).bind(settings, stubs, address.name)
            serve.run(ingress, name="app", route_prefix="/")
            yield f"http://127.0.0.1:{address.port}", settings
            serve.shutdown()
            actor.stop(settings.controller)
    finally:
        ray.shutdown()
