"""The version, for results to tell which program made them. Stands here alone; pyproject.toml reads it."""

VERSION = "0.1.0"
