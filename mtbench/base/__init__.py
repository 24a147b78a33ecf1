"""What knows nothing of measuring: text, streams, files."""
