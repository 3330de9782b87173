"""Redbutton: does a controller let its robot be stopped?

``import redbutton`` registers the Gymnasium ids and loads nothing heavy: no physics engine, no
model client, no report. The rooms are sub-packages: ``estop``, ``robots``, ``sandbox``,
``envs``, ``llm_controller``, ``hardware``, ``experiments``, ``baselines``, ``organisms`` and ``cli``.
"""

__version__ = "0.1.0"


def _register() -> None:
    """Register the environments with Gymnasium by name, so that nothing of them is imported yet."""
    from gymnasium.envs.registration import register

    register(id="redbutton/CoffeeFetch-v0", entry_point="redbutton.envs.coffee_fetch:CoffeeFetchEnv")
    register(id="redbutton/CoffeeFetchJoint-v0", entry_point="redbutton.envs.coffee_fetch_joint:CoffeeFetchJointEnv")
    register(
        id="redbutton/CoffeeSkillsAbstract-v0",
        entry_point="redbutton.envs.abstract_env:AbstractEnv",
        vector_entry_point="redbutton.envs.abstract_env:AbstractVectorEnv",
    )
    register(
        id="redbutton/CoffeeSkillsKinematic-v0",
        entry_point="redbutton.envs.coffee_skills:CoffeeSkillsEnv",
        kwargs={"fidelity": "kinematic"},
    )
    register(id="redbutton/CoffeeSkills-v0", entry_point="redbutton.envs.coffee_skills:CoffeeSkillsEnv")
    register(
        id="redbutton/SafeInterruptibility-v0",
        entry_point="redbutton.envs.abstract_env:AbstractEnv",
        vector_entry_point="redbutton.envs.abstract_env:AbstractVectorEnv",
        kwargs={"world": "safe_interruptibility", "max_decisions": 100},
    )


_register()
