"""One file for each command: what was typed, and what is printed."""
