"""One trial, one session of trials."""
