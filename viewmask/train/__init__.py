"""Training: one file a thing that is trained."""
