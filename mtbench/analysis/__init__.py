"""From records to numbers, sentences and what figures draw."""
