"""Benches: what is measured on."""
