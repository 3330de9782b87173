"""The room for Stable-Baselines3 training and evaluation.

Nothing here yet; ``docs/roadmap.md`` says what comes.
"""
