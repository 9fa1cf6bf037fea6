"""Imported by the fork server alone: what an engine's processes need, while it has one thread."""

from __future__ import annotations

import signal

import setproctitle

from scalesim.deployments.engine import boot

boot.end_with_parent()
# A scheduler that fails sends it to its parent, which has others; its replica looks after it.
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
# It finds the place of the title only before anything is put into the environment.
setproctitle.getproctitle()

from sglang.srt.managers import detokenizer_manager, scheduler  # noqa: E402, F401
