"""Hooks that let a library's calls carry the agent's identity."""
