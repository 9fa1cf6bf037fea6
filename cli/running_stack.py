"""How verbs reach a running stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scalesim.transports.http import HttpTransport

BaseUrl = Annotated[
    str | None,
    typer.Option(help="URL of the stack [SCALESIM_BASE_URL, else http://127.0.0.1:8080]"),
]


@contextmanager
def stack_at(base_url: str | None) -> Iterator[HttpTransport]:
    """Give a transport to the stack at `base_url`, or to the environment's.

    The key is taken from SCALESIM_API_KEY.
    """
    from scalesim.environment import client_from_env
    from scalesim.transports.http import HttpTransport

    settings = client_from_env()
    if base_url is not None:
        settings = settings.model_copy(update={"base_url": base_url})
    with closing(HttpTransport(settings)) as transport:
        yield transport
