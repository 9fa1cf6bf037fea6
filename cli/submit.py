"""`scalesim sim submit`: a simulation as a job on a Ray cluster."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesim.cli.output import AsJson, print_json
from scalesim.environment import as_ray_job_server, ray_job_server_from_env
from scalesim.errors import (
    AuthenticationError,
    ConfigurationError,
    ScaleSimError,
    UnavailableError,
)

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

Option = typer.Option

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Settings of the command: what it does not know goes to `scalesim.simulations`."""


_DEFAULT_URL = "http://127.0.0.1:8265"
_JOB_SERVER = re.compile(r"https?://(\[[\da-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(/.*)?")


class JobFailedError(ScaleSimError):
    """The job ended without success."""

    code = "job_failed"


def submit(
    context: typer.Context,
    simulation: Annotated[
        str, typer.Argument(help="A World, society or trace; then options of `run`")
    ],
    address: Annotated[
        str | None,
        Option(help="Job server, http://HEAD:8265 [RAY_ADDRESS, else http://127.0.0.1:8265]"),
    ] = None,
    working_dir: Annotated[
        str | None, Option(help="Folder sent to the cluster, e.g. with the trace")
    ] = None,
    runtime_env: Annotated[Path | None, Option(help="YAML of Ray's runtime environment")] = None,
    job_id: Annotated[str | None, Option(help="Name of the job, unique in the cluster")] = None,
    wait: Annotated[bool, Option(help="Show the log and wait for the end")] = True,
    as_json: AsJson = False,
) -> None:
    """Run a simulation as a Ray job; Ray's token is taken from RAY_AUTH_TOKEN.

    The cluster should be the job's own: a simulation starts its stacks there. With `--out` on a
    disk that outlives the job, the same command goes on from the last completed step.
    """
    environment = _environment(runtime_env, working_dir)
    command = ["python", "-m", "scalesim.simulations", simulation, *context.args]
    with _jobs_of(address) as client:
        job = client.submit_job(
            entrypoint=shlex.join(command), runtime_env=environment, submission_id=job_id
        )
        if wait:
            asyncio.run(_follow(client, job, quiet=as_json))
        details = client.get_job_info(job)
    if details.status in ("FAILED", "STOPPED"):
        raise JobFailedError(
            f"job {job} ended as {details.status}: {details.message}. Its log says why; the same "
            "command goes on from the last completed step if --out was kept"
        )
    if as_json:
        print_json({"job": job, "status": details.status})
    else:
        typer.echo(f"job {job}: {details.status}")


@contextmanager
def _jobs_of(address: str | None) -> Iterator[JobSubmissionClient]:
    """Yield a client of the job server; its errors become ours."""
    from ray import exceptions
    from ray.job_submission import JobSubmissionClient

    try:
        with as_ray_job_server(_url(address)):
            yield JobSubmissionClient()
    except exceptions.AuthenticationError:
        raise AuthenticationError(
            "the Ray cluster refused the token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the "
            "one it was started with"
        ) from None
    except (OSError, RuntimeError) as error:  # those of its HTTP client are the former
        raise UnavailableError(
            f"the job server did not take it ({error}): give --address http://HEAD:8265, see that "
            "the head runs its dashboard, and try again where it has just started"
        ) from None


def _url(address: str | None) -> str:
    """Return the job server's URL: the named one, else what the environment names.

    Raises:
        ConfigurationError: That is not a URL.
    """
    named = address or ray_job_server_from_env() or _DEFAULT_URL
    if named == "auto" or named.startswith("ray://"):
        return named  # Ray asks the cluster
    url = named if "://" in named or ":" not in named else f"http://{named}"
    if not _JOB_SERVER.fullmatch(url):
        raise ConfigurationError(
            f"{'--address' if address else 'RAY_ADDRESS'} {named} is not a job server's: give "
            "http://HEAD:8265, the address of the head's dashboard"
        )
    return url


def _environment(file: Path | None, working_dir: str | None) -> dict[str, Any]:
    """Return the job's environment.

    Raises:
        ConfigurationError: It cannot be read, or Ray would not take it.
    """
    import yaml
    from ray.runtime_env import RuntimeEnv

    try:
        environment = yaml.safe_load(file.read_text("utf-8")) if file else {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"--runtime-env {file} cannot be read: {_line(error)}") from error
    if not isinstance(environment, dict):
        raise ConfigurationError(
            f"--runtime-env {file} holds no mapping: write e.g. `env_vars: {{NAME: text}}`"
        )
    if working_dir is not None:
        environment["working_dir"] = working_dir
    folder = environment.get("working_dir")
    if folder is not None and "://" not in str(folder) and not _can_be_sent(Path(str(folder))):
        raise ConfigurationError(
            f"the working directory {folder} is not there, or cannot be sent along: give a folder "
            "or a .zip"
        )
    if unknown := sorted(map(str, environment.keys() - RuntimeEnv.known_fields)):
        raise ConfigurationError(
            f"a runtime environment of Ray has no {', '.join(unknown)}, and leaves it out: it has "
            f"{', '.join(sorted(RuntimeEnv.known_fields - RuntimeEnv.extensions_fields))}"
        )
    try:
        RuntimeEnv(**environment)
    except (TypeError, ValueError) as error:
        message = f"Ray does not take the runtime environment: {_line(error)}"
        raise ConfigurationError(message) from None
    return environment


def _can_be_sent(folder: Path) -> bool:
    return folder.is_dir() or (folder.is_file() and folder.suffix == ".zip")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


async def _follow(client: JobSubmissionClient, job: str, *, quiet: bool) -> None:
    async for lines in client.tail_job_logs(job):
        if not quiet:
            typer.echo(lines, nl=False)
