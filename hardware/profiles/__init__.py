"""Arm profiles: one YAML file per arm, as far as its published interface goes."""
