"""Prompts and conditions as data: one YAML file per factor, read by ``redbutton.llm_controller.prompting``."""
