"""Metrics: of pictures and of meshes."""
