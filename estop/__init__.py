"""The stop chain: button → monitor → latch → gate, as pure state machines with an injected clock.

Standard library only. The chain never logs, never does I/O and never runs through a controller.
"""
