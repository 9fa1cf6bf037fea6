"""Fine-tunes of an engine's model: on disk, in host memory, and which one comes next."""
