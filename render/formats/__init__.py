"""Readers of mesh formats: bytes in, patches out, and nothing left out without a word."""
