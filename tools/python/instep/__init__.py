"""Learning on the robot, in step with its control loop: docs/python.md."""

from importlib import metadata as _metadata
from importlib import util as _util

from instep._instep import Agent

__all__ = ["Agent", "train"]
__version__ = _metadata.version("instep")


def train(env, steps, agent=None, *, seed=0, algo="avg", **settings):
    """Lets an agent learn in a Gymnasium environment for a number of steps.

    Answers the agent and the returns of the episodes that ended. Without `agent` a new one is made, for a task of ours
    with that task's settings; `settings` are those of Agent. With one, it goes on.
    """
    from instep import _gymnasium
    return _gymnasium.train(env, steps, agent, seed=seed, algo=algo, **settings)


if _util.find_spec("gymnasium") is not None:
    from instep import _gymnasium as _tasks
    _tasks.register_tasks()
