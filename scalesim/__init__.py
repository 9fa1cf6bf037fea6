"""What a simulation imports: `Simulation`, `agent`, the vocabulary and the errors."""
