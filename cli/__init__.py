"""The `scalesim` command, one file a verb."""
