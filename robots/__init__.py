"""The ``Robot`` protocol, arm specifications, simulated arms, kinematics and the skills written once on top."""
