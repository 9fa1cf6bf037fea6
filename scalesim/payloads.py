"""What a payload kind of your own is written against.

A kind is a class that answers `Payload` and a factory `build(engine: PayloadEngine)` that returns
one, registered under the entry-point group `scalesim.payloads`. Its own settings are
`engine.settings[kind]`, from `engine.payloads` of the stack's configuration.
"""

from __future__ import annotations

from scalesim.deployments.engine.payloads.interfaces import Payload, PayloadEngine
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.vocabulary import Budgets, Residency, Tier, TransferStats

__all__ = [
    "Budgets",
    "MoveOutcome",
    "Payload",
    "PayloadEngine",
    "Residency",
    "Tier",
    "TransferStats",
]
