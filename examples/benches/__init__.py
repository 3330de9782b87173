"""Bench files that come with the package."""
