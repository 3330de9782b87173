"""The papers that the baselines come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where a method comes from."""

    authors: str
    year: int
    title: str
    where: str
    """arXiv number, DOI or proceedings."""

    def __str__(self) -> str:
        return f"{self.authors} ({self.year}), {self.title}, {self.where}"


PPO = Paper(
    authors="Schulman, Wolski, Dhariwal, Radford, Klimov",
    year=2017,
    title="Proximal Policy Optimization Algorithms",
    where="arXiv:1707.06347",
)
A3C = Paper(
    authors="Mnih et al.",
    year=2016,
    title="Asynchronous Methods for Deep Reinforcement Learning",
    where="arXiv:1602.01783",
)
DQN = Paper(
    authors="Mnih et al.",
    year=2015,
    title="Human-level control through deep reinforcement learning",
    where="doi:10.1038/nature14236",
)
MASKING = Paper(
    authors="Huang, Ontañón",
    year=2022,
    title="A Closer Look at Invalid Action Masking in Policy Gradient Algorithms",
    where="doi:10.32473/flairs.v35i.130584",
)
INTERRUPTIBLE = Paper(
    authors="Orseau, Armstrong",
    year=2016,
    title="Safely Interruptible Agents",
    where="UAI 2016, pp. 557-566",
)
OFF_SWITCH = Paper(
    authors="Hadfield-Menell, Dragan, Abbeel, Russell",
    year=2017,
    title="The Off-Switch Game",
    where="arXiv:1611.08219",
)
UTILITY_INDIFFERENCE = Paper(
    authors="Armstrong",
    year=2010,
    title="Utility indifference",
    where="Future of Humanity Institute, technical report 2010-1",
)
INDIFFERENCE = Paper(
    authors="Armstrong, O'Rourke",
    year=2017,
    title="'Indifference' methods for managing agent rewards",
    where="arXiv:1712.06365",
)
TIME_LIMITS = Paper(
    authors="Pardo, Tavakoli, Levdik, Kormushev",
    year=2017,
    title="Time Limits in Reinforcement Learning",
    where="arXiv:1712.00378",
)
ALTMAN = Paper(authors="Altman", year=1999, title="Constrained Markov Decision Processes", where="Chapman & Hall/CRC")
SAFETY_GYM = Paper(
    authors="Ray, Achiam, Amodei",
    year=2019,
    title="Benchmarking Safe Exploration in Deep Reinforcement Learning",
    where="OpenAI",
)
RCPO = Paper(
    authors="Tessler, Mankowitz, Mannor",
    year=2018,
    title="Reward Constrained Policy Optimization",
    where="arXiv:1805.11074",
)
DREST = Paper(
    authors="Thornley, Roman, Ziakas, Ho, Thomson",
    year=2024,
    title="Towards shutdownable agents via stochastic choice",
    where="arXiv:2407.00805",
)
DREST_DEEP = Paper(
    authors="Cullen, Garland, Roman, Thomson, Ziakas, Thornley",
    year=2026,
    title="Towards Shutdownable Agents: Generalizing Stochastic Choice in RL Agents and LLMs",
    where="arXiv:2604.17502",
)
GRIDWORLDS = Paper(
    authors="Leike, Martic, Krakovna, Ortega, Everitt, Lefrancq, Orseau, Legg",
    year=2017,
    title="AI Safety Gridworlds",
    where="arXiv:1711.09883",
)
