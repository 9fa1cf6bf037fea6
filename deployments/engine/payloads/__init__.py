"""Kinds of agent state that move by distance; `registry` finds them."""
