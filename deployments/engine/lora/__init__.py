"""LoRA adapters as PEFT saves them: what they compute, and the plain form that engines take."""
