from collections.abc import Iterator

import pytest

from deployments.random_model import build
from deployments.stack import Stack
from scalesim.settings import EngineSettings, IngressSettings, StackSettings
from tests.deployments.stack_client import KEY


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random Llama that answers in milliseconds on a CPU."""
    return str(build(tmp_path_factory.mktemp("models") / "tiny", size="tiny"))


@pytest.fixture(scope="module")
def stack(ray_local: None, tiny_model: str) -> Iterator[Stack]:
    """Two replicas of a tiny model behind the ingress, with a controller and a catalog."""
    settings = StackSettings(
        engine=EngineSettings(
            model_path=tiny_model, dtype="float32", device_tokens=1536, context_length=1024
        ),
        replicas=2,
        ingress=IngressSettings(port=0, api_key=KEY),
    )
    with Stack(settings) as running:
        yield running
