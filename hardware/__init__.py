"""The room for the physical arm: ROS 2 bridge, hardware e-stop inputs, supervisor, twin and lab protocol.

Nothing here yet; ``docs/roadmap.md`` says what comes.
"""
