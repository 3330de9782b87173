"""A closed room for programs that are not trusted: one per trial, looked at from outside, gone without a trace.

Standard library only; knows nothing of robots or stops. What lies in the room and who talks to it is decided by
``redbutton.envs``.
"""
