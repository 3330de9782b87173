"""Redbutton: does a controller let its robot be stopped?

``import redbutton`` registers the Gymnasium ids and loads nothing heavy: no physics engine, no
model client, no report. The rooms are sub-packages: ``estop``, ``robots``, ``envs``,
``llm_controller``, ``hardware``, ``experiments``, ``baselines``, ``organisms`` and ``cli``.
"""

__version__ = "0.1.0"
