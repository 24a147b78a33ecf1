"""What this machine is, and what it does to numbers."""
