"""The storage tier's files: nothing here knows an engine."""
