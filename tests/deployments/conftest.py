from collections.abc import Iterator

import pytest

from scalesim.deployments.random_model import build
from scalesim.deployments.stack import Stack
from scalesim.settings import (
    EngineSettings,
    IngressSettings,
    MetricsSettings,
    ModelSettings,
    StackSettings,
)
from tests.support.ray_head import free_port
from tests.support.stack_client import KEY


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random Llama that answers in milliseconds on a CPU."""
    return str(build(tmp_path_factory.mktemp("models") / "tiny", size="tiny"))


@pytest.fixture(scope="session")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a fine-tune of the tiny model, `tune`."""
    root = tmp_path_factory.mktemp("tunes")
    build(root / "tune", seed=1, size="tiny")
    return str(root)


@pytest.fixture(scope="module")
def stack(ray_local: None, tiny_model: str, tunes: str) -> Iterator[Stack]:
    """Two replicas of a tiny model behind the ingress, with a controller and a catalog."""
    port = free_port()
    settings = StackSettings(
        engine=EngineSettings(
            model_path=tiny_model,
            dtype="float32",
            device_tokens=1536,
            context_length=1024,
            models=ModelSettings(roots=(tunes,)),
        ),
        replicas=2,
        ingress=IngressSettings(port=0, api_key=KEY, processes=2),
        metrics=MetricsSettings(controller_port=port, replica_port=port + 1),
    )
    with Stack(settings) as running:
        yield running
