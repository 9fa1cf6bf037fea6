"""A sizing model: rooflines of hardware under a replayed trace."""
