"""Which pages are written, and what makes each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs.generate import (
    cli_page,
    environment_page,
    http_page,
    metrics_page,
    modes_page,
    python_page,
    requests_page,
    settings_page,
)

FOLDER = Path(__file__).parents[1] / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "cli": cli_page.page,
    "environment": environment_page.page,
    "http": http_page.page,
    "metrics": metrics_page.page,
    "modes": modes_page.page,
    "python": python_page.page,
    "requests": requests_page.page,
    "settings": settings_page.page,
}
"""What makes each page, by the page's name in `FOLDER`."""
