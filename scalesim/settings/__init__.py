"""All configuration, typed: one module a part of the stack.

Every default states its unit and its reason. Unknown names and bad values raise
`ConfigurationError` at start-up. `scalesim.environment` reads what is not in a file.
"""

from scalesim.settings.client_settings import ClientSettings
from scalesim.settings.common import Settings, load
from scalesim.settings.controller_settings import CatalogSettings, ControllerSettings, KeyQuota
from scalesim.settings.engine_settings import (
    AdapterSettings,
    Arm,
    EmulationSettings,
    EngineSettings,
    ModelSettings,
)
from scalesim.settings.stack_settings import (
    ANY_ADDRESS,
    LOOPBACK,
    ApiKeySettings,
    AutoscalingSettings,
    EmbeddingsSettings,
    IngressSettings,
    LogSettings,
    MetricsSettings,
    StackSettings,
)

__all__ = [
    "ANY_ADDRESS",
    "LOOPBACK",
    "AdapterSettings",
    "ApiKeySettings",
    "Arm",
    "AutoscalingSettings",
    "CatalogSettings",
    "ClientSettings",
    "ControllerSettings",
    "EmbeddingsSettings",
    "EmulationSettings",
    "EngineSettings",
    "IngressSettings",
    "KeyQuota",
    "LogSettings",
    "MetricsSettings",
    "ModelSettings",
    "Settings",
    "StackSettings",
    "load",
]
