"""Which pages are written, and what makes each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs.generate import (
    command_line,
    metrics,
    modes,
    python_api,
    requests,
    routes,
    settings_fields,
    variables,
)

FOLDER = Path(__file__).parents[1] / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "cli": command_line.page,
    "environment": variables.page,
    "http": routes.page,
    "metrics": metrics.page,
    "modes": modes.page,
    "python": python_api.page,
    "requests": requests.page,
    "settings": settings_fields.page,
}
"""What makes each page, by the page's name in `FOLDER`."""
