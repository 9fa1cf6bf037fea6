"""What became of a program's calls: a recorder of its trace, and the report at its end."""
