"""Inner parts that Humble has under this name."""
