"""Our tasks as Gymnasium environments, and learning in any."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import warnings

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import instep

COMMAND = os.environ["INSTEP_COMMAND"]
TASKS = sorted(name for name in gymnasium.registry if name.startswith("instep/"))


class Counter(gymnasium.Env):
    """Ends itself each third episode after four steps, and is cut after six in the others; keeps what it was given."""

    def __init__(self, action_space, observation_shape=(2,)):
        self.observation_space = spaces.Box(-10, 10, observation_shape, np.float32)
        self.action_space = action_space
        self.actions, self.episodes, self.resets = [], 0, []

    def observe(self):
        return np.full(self.observation_space.shape, self.time + 10 * self.episodes % 7, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.resets.append(seed)
        self.episodes += 1
        self.time = 0
        return self.observe(), {}

    def step(self, action):
        assert action in self.action_space, action
        self.actions.append(action)
        self.time += 1
        is_third = self.episodes % 3 == 0
        return self.observe(), 1.0, is_third and self.time == 4, not is_third and self.time == 6, {}


class Recorder:
    """In an agent's place: the calls, as train() makes them."""

    def __init__(self, action):
        self.action, self.calls = np.array(action, np.float32), []

    def act(self, observation):
        self.calls.append(("act", observation[0]))
        return self.action

    def learn(self, reward, terminated, truncated, observation):
        self.calls.append(("learn", terminated, truncated, observation[0]))

    def end_episode(self):
        self.calls.append(("end",))


def box(low, high):
    return spaces.Box(np.array(low, np.float32), np.array(high, np.float32))


class Train(unittest.TestCase):
    def test_scales_actions_to_the_box(self):
        for action, expected in (([-1, -1], [-2, 0]), ([1, 1], [2, 5]), ([0, 0.5], [0, 3.75])):
            env = Counter(box([-2, 0], [2, 5]))
            instep.train(env, 3, Recorder(action))
            self.assertTrue((env.actions[0] == np.array(expected, np.float32)).all())
        env = Counter(spaces.Box(-1, 1, (2, 2), np.float32))  # of another shape, and without rounding
        instep.train(env, 1, Recorder([1e-20, -1, 0.1, 1]))
        self.assertTrue((env.actions[0].ravel() == np.array([1e-20, -1, 0.1, 1], np.float32)).all())

    def test_tells_ends_from_time_limits_and_loses_no_step(self):
        env, recorder = Counter(box([-1], [1])), Recorder([0])
        _, returns = instep.train(env, 33, recorder, seed=5)
        self.assertEqual(returns, [6.0, 6.0, 4.0, 6.0, 6.0, 4.0])
        self.assertEqual(env.resets, [5] + [None] * 6)
        self.assertEqual(recorder.calls[0], ("end",))
        learnt = [call for call in recorder.calls if call[0] == "learn"]
        acted = [call for call in recorder.calls if call[0] == "act"]
        self.assertEqual((len(learnt), len(acted), len(env.actions)), (33, 33, 33))
        ends = {i + 1: call[1:3] for i, call in enumerate(learnt) if call[1] or call[2]}
        self.assertEqual(ends, {6: (False, True), 12: (False, True), 16: (True, False), 22: (False, True),
                                28: (False, True), 32: (True, False)})
        for i, call in enumerate(learnt[:-1]):  # never across a reset, always from the true next observation
            if i + 1 not in ends:
                self.assertEqual(acted[i + 1][1], call[3])
        self.assertEqual(learnt[5][3] - acted[5][1], 1)

    def test_goes_on_with_an_agent(self):
        env = Counter(box([-1], [1]))
        agent, _ = instep.train(env, 10, hidden=16)
        again, returns = instep.train(env, 15, agent)
        self.assertIs(again, agent)
        self.assertEqual((agent.steps, len(returns)), (25, 2))
        with self.assertRaisesRegex(TypeError, "hidden"):
            instep.train(env, 10, agent, hidden=8)

    def test_flattens_observations(self):
        agent, _ = instep.train(Counter(box([-1], [1]), (2, 3)), 20, hidden=16)
        self.assertEqual(agent.observation_dim, 6)

    def test_refuses_with_the_reason(self):
        cases = [(gymnasium.make_vec("instep/dot_reacher-v0", num_envs=2), ValueError, "vector environment"),
                 (gymnasium.make("CartPole-v1"), ValueError, "Discrete.*continuous"),
                 (Counter(spaces.Box(-np.inf, np.inf, (1,))), ValueError, "RescaleAction|finite"),
                 (Counter(spaces.Box(0, 9, (1,), np.int64)), ValueError, "real numbers"),
                 ("Pendulum-v1", TypeError, "gymnasium.make")]
        inside = Counter(box([-1], [1]))
        inside.observation_space = spaces.Dict({"a": spaces.Box(0, 1)})
        cases.append((inside, ValueError, "FlattenObservation"))
        for env, error, text in cases:
            with self.assertRaisesRegex(error, text):
                instep.train(env, 10)
        old = Counter(box([-1], [1]))
        old.step = lambda action: (old.observe(), 0.0, False, {})
        with self.assertRaisesRegex(ValueError, "Gym before 0.26"):
            instep.train(old, 10, hidden=16)


class Tasks(unittest.TestCase):
    def test_pass_the_check_of_gymnasium(self):
        self.assertGreaterEqual(len(TASKS), 3)
        for name in TASKS:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                check_env(gymnasium.make(name).unwrapped, skip_render_check=True)
            # A box of observations without bounds is what they are.
            others = [str(each.message) for each in said if "infinity" not in str(each.message)]
            self.assertEqual(others, [], name)

    def test_the_same_seed_gives_the_same_bits(self):
        def roll(env, seed):
            env.action_space.seed(3)
            rows = [env.reset(seed=seed)[0]]
            for _ in range(300):
                observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
                rows.append(np.append(observation, reward))
                if terminated or truncated:
                    rows.append(env.reset()[0])
            return np.concatenate(rows).tobytes()

        for name in TASKS:
            env = gymnasium.make(name)
            first = roll(env, 7)
            self.assertEqual(first, roll(gymnasium.make(name), 7), name)
            self.assertEqual(first, roll(env, 7), name)
            self.assertNotEqual(first, roll(env, 8), name)

    def test_resets_differ(self):
        env = gymnasium.make("instep/dot_reacher-v0")
        starts = [env.reset(seed=1)[0], env.reset()[0], env.reset()[0], gymnasium.make("instep/dot_reacher-v0").reset()[0]]
        self.assertEqual(len({start.tobytes() for start in starts}), 4)
        self.assertEqual(starts[0].tobytes(), env.reset(seed=1)[0].tobytes())

    def test_refuse_steps_that_cannot_be(self):
        env = gymnasium.make("instep/dot_reacher-v0", disable_env_checker=True).unwrapped
        with self.assertRaisesRegex(RuntimeError, "reset"):
            env.step(np.zeros(2))
        env.reset(seed=0)
        for action, error in (([0, float("nan")], ValueError), ([0], ValueError), ([0, 0, 0], ValueError), ("up", TypeError)):
            with self.assertRaises(error):
                env.step(action)
        done = False
        while not done:
            *_, terminated, truncated, _ = env.step(np.zeros(2, np.float32))
            done = terminated or truncated
        self.assertTrue(truncated)
        with self.assertRaisesRegex(RuntimeError, "reset"):
            env.step(np.zeros(2))

    # The command has always begun the next episode already: here the steps end within one.
    def test_learn_what_the_command_learns_bit_for_bit(self):
        for task, steps in (("dot_reacher", 6000), ("half_cheetah", 2500), ("create_mover", 2990)):
            if f"instep/{task}-v0" not in TASKS:
                continue
            with tempfile.TemporaryDirectory() as scratch:
                run, mine = os.path.join(scratch, "run"), os.path.join(scratch, "mine")
                subprocess.run([COMMAND, "train", task, "--steps", str(steps), "--seed", "4", "--out", run], check=True,
                               capture_output=True)
                agent, returns = instep.train(gymnasium.make(f"instep/{task}-v0"), steps, seed=4)
                lines = pathlib.Path(run, "episodes.csv").read_text().splitlines()
                column = lines[0].split(",").index("return")
                self.assertEqual([float(line.split(",")[column]) for line in lines[1:]], returns, task)
                self.assertGreater(len(returns), 1)
                agent.save(mine)
                evaluations = []
                for folder in (run, mine):
                    told = subprocess.run([COMMAND, "eval", folder, "--episodes", "3", "--json"], check=True,
                                          capture_output=True, text=True).stdout
                    evaluations.append(json.loads(told))
                self.assertEqual(*evaluations, task)


class Documentation(unittest.TestCase):
    def test_its_examples_run(self):
        source = pathlib.Path(os.environ["INSTEP_SOURCE"])
        text = "".join((source / page).read_text() for page in ("README.md", "docs/python.md"))
        examples = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        self.assertGreaterEqual(len(examples), 3)
        for example in examples:
            with tempfile.TemporaryDirectory() as scratch:
                subprocess.run([sys.executable, "-c", example], cwd=scratch, check=True)
