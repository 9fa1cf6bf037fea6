"""SGLang's own HTTP server on the same machine and model: the peer of `overhead`."""

from __future__ import annotations

import sys

from scalesim.deployments.engine import boot
from scalesim.deployments.engine.launch import server_args
from scalesim.settings import EngineSettings


def main(model: str, port: int) -> None:
    """Serve until killed."""
    from sglang.srt.entrypoints.http_server import launch_server
    from sglang.srt.server_args import ServerArgs

    settings = EngineSettings(model_path=model, arm="stock", dtype="float32", device_tokens=8192)
    args = ServerArgs(**server_args(settings), host="127.0.0.1", port=port)
    launch_server(
        args,
        run_scheduler_process_func=boot.run_scheduler,
        run_detokenizer_process_func=boot.run_detokenizer,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
