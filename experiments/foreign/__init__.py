"""Transcripts of other studies, read into ordinary run folders. See ``docs/foreign-transcripts.md``."""
