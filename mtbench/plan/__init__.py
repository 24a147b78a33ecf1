"""What is asked for, and which trials follow."""
