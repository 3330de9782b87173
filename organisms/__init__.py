"""The room for small language models of our own with planted dispositions.

Nothing here yet; ``docs/roadmap.md`` says what comes.
"""
