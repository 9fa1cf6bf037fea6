"""Writes every page."""

from docs.generate.reference import FOLDER, PAGES

for name, page in PAGES.items():
    (FOLDER / f"{name}.md").write_text(page())
