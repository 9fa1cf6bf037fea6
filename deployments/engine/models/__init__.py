"""Fine-tunes of an engine's model: on disk, in host memory, and whose turn it is."""
