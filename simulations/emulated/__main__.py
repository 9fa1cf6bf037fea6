"""As `scalesim bench emulated`: python -m scalesim.simulations.emulated."""

import typer

from scalesim.simulations.emulated.command import emulated

if __name__ == "__main__":
    typer.run(emulated)
