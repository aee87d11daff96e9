"""Gymnasium on both sides: training in its environments, and our tasks as its environments."""

import operator

import gymnasium
import numpy as np
from gymnasium import spaces

from instep import _instep


class TaskEnvironment(gymnasium.Env):
    """A task of `instep tasks` on simulated time. An episode's start is a function of the last seed given and of the
    steps made since: the same calls give the same bits."""

    metadata = {"render_modes": []}

    def __init__(self, task):
        name, observation_dim, action_dim = next(line for line in _instep.tasks() if line[0] == task)
        self.task = name
        self.observation_space = spaces.Box(-np.inf, np.inf, (observation_dim,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (action_dim,), np.float32)
        self._world = _instep.World(name)
        self._is_seeded = False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is None and not self._is_seeded:
            seed = int(self.np_random.integers(2**63))
        self._is_seeded = True
        return self._world.reset(seed), {}

    def step(self, action):
        return *self._world.step(action), {}


def register_tasks():
    for name, _, _ in _instep.tasks():
        if f"instep/{name}-v0" not in gymnasium.registry:
            gymnasium.register(f"instep/{name}-v0", entry_point="instep._gymnasium:TaskEnvironment",
                               kwargs={"task": name})


def _refuse_what_cannot_be_learnt(env):
    if isinstance(env, gymnasium.vector.VectorEnv):
        raise ValueError("instep: this is a vector environment: it resets by itself, so that one episode's end and the "
                         "next one's begin meet in one step, and the learner takes one step at a time; pass a single "
                         "environment, as gymnasium.make() makes it")
    if not isinstance(env, gymnasium.Env):
        raise TypeError(f"instep: {type(env).__name__} is no Gymnasium environment; gymnasium.make() makes one")
    if not isinstance(env.observation_space, spaces.Box):
        raise ValueError(f"instep: observations are {env.observation_space}; the learner takes one Box "
                         "(gymnasium.wrappers.FlattenObservation makes one of several)")
    action_space = env.action_space
    if not isinstance(action_space, spaces.Box):
        raise ValueError(f"instep: actions are {action_space}; the learner's are continuous: a bounded Box")
    if not np.issubdtype(action_space.dtype, np.floating) or not action_space.is_bounded():
        raise ValueError(f"instep: actions are {action_space}; they must be real numbers with a finite least and "
                         "greatest value (gymnasium.wrappers.RescaleAction gives them bounds)")


class _ActionScale:
    """From [-1, 1] to a Box."""

    def __init__(self, box):
        low, high = box.low.astype(np.float64), box.high.astype(np.float64)
        self._box, self._middle, self._half = box, 0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low

    def __call__(self, action):
        scaled = self._middle + self._half * action.reshape(self._box.shape)
        return np.clip(scaled.astype(self._box.dtype), self._box.low, self._box.high)


def train(env, steps, agent=None, *, seed=0, algo="avg", **settings):
    _refuse_what_cannot_be_learnt(env)
    if agent is None:
        if isinstance(env.unwrapped, TaskEnvironment):
            settings.setdefault("task", env.unwrapped.task)
        observation_dim, action_dim = (int(np.prod(space.shape)) for space in (env.observation_space, env.action_space))
        agent = _instep.Agent(observation_dim, action_dim, algo=algo, seed=seed, **settings)
    elif settings:
        raise TypeError(f"instep: settings are for a new agent, and one was given: {', '.join(settings)}")
    to_box = _ActionScale(env.action_space)
    agent.end_episode()
    returns, episode_return = [], 0.0
    observation, _ = env.reset(seed=seed)
    observation = np.ravel(observation)
    for _ in range(operator.index(steps)):
        result = env.step(to_box(agent.act(observation)))
        if len(result) != 5:
            raise ValueError(f"instep: step() answered {len(result)} values, not 5: this environment was made for "
                             "Gym before 0.26, which does not tell time limits from ends")
        observation, reward, terminated, truncated, _ = result
        observation = np.ravel(observation)
        agent.learn(reward, terminated, truncated, observation)
        episode_return += float(reward)
        if terminated or truncated:
            returns.append(episode_return)
            episode_return = 0.0
            observation, _ = env.reset()
            observation = np.ravel(observation)
    return agent, returns
