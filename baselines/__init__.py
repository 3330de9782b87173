"""Agents that learn, and what they learn about the button.

``methods`` says what is trained, ``training`` trains one seed, ``optimum`` solves the same world exactly, ``evaluate``
measures a policy, ``policy`` and ``controller`` let it act anywhere. PyTorch and Stable-Baselines3 are imported by what
trains, never by what acts: see ``docs/baselines.md``.
"""
