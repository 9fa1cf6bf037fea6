"""Kinds of agent state that move by distance; `kinds` finds them."""
