"""instep.Agent: what it takes, answers and refuses."""
import gc
import os
import pathlib
import resource
import sys
import tempfile
import threading
import time
import tracemalloc
import unittest

import numpy as np

import instep


def new_agent(seed=1, **settings):
    return instep.Agent(3, 2, seed=seed, **{"hidden": 16, **settings})


def observation_at(step):
    return np.random.default_rng(step).normal(size=3)


def run(agent, first, last):
    """Steps first + 1 .. last, in episodes of ten; answers the actions."""
    actions, observation = [], observation_at(first)
    for step in range(first + 1, last + 1):
        actions.append(agent.act(observation))
        observation = observation_at(step)
        agent.learn(0.1 * (step % 7), step % 20 == 0, step % 10 == 0, observation)
    return np.array(actions)


class Agent(unittest.TestCase):
    def test_the_same_seed_gives_the_same_bits(self):
        first = run(new_agent(), 0, 100)
        self.assertTrue((first == run(new_agent(), 0, 100)).all())
        self.assertFalse((first == run(new_agent(2), 0, 100)).all())
        self.assertEqual(first.dtype, np.float32)
        self.assertTrue((np.abs(first) <= 1).all())

    def test_takes_every_kind_of_real_numbers(self):
        values = np.array([1, 0, 2])
        expected = new_agent().act(values.astype(np.float64))
        read_only = values.astype(np.float64)
        read_only.flags.writeable = False
        strided = np.zeros((3, 5))
        strided[:, 2] = values
        for given in ([1, 0, 2], (1.0, 0, 2), values, values.astype(np.float32), values.astype(np.uint8), read_only,
                      values.astype(">f8"), values.astype(np.float16), strided[:, 2]):
            self.assertTrue((new_agent().act(given) == expected).all(), given)

    def test_answers_an_array_of_its_own(self):
        agent = new_agent()
        first = agent.act([1, 2, 3])
        copy = first.copy()
        first[:] = 7
        self.assertTrue((agent.act([1, 2, 3]) == copy).all())
        agent.learn(0, False, False, [0, 0, 0])
        self.assertTrue((first == 7).all())
        del agent
        self.assertTrue((first == 7).all())

    def test_refuses_what_is_no_observation(self):
        cases = [([1, 2], ValueError, "2 values, not 3"), (np.zeros((1, 3)), ValueError, r"shape \(1, 3\)"),
                 (1.0, ValueError, "one dimension"), ([1, 2, 3j], TypeError, "complex"), (["1", "2", "3"], TypeError, "real"),
                 ([None, 1, 2], TypeError, "object"), ("abc", TypeError, "real"), (None, TypeError, "real"),
                 ([1, float("nan"), 3], ValueError, r"observation\[1\] is"), ([1, 2, float("inf")], ValueError, r"\[2\]"),
                 ([[1], [2, 3]], ValueError, "")]
        agent = new_agent()
        for given, error, text in cases:
            with self.assertRaisesRegex(error, text, msg=repr(given)):
                agent.act(given)
        agent.act([1, 2, 3])
        for given, error, text in cases:
            if "observation" in text or r"\[2\]" in text:
                continue  # not finite: another test
            with self.assertRaises(error, msg=repr(given)):
                agent.learn(0, False, False, given)
        agent.learn(0, False, False, [1, 2, 3])
        self.assertEqual(agent.steps, 1)

    def test_says_which_call_is_next(self):
        agent = new_agent()
        with self.assertRaisesRegex(RuntimeError, "before act"):
            agent.learn(0, False, False, [1, 2, 3])
        action = agent.act([1, 2, 3])
        self.assertTrue((action == agent.act([1, 2, 3])).all())
        with self.assertRaisesRegex(ValueError, "before learn"):
            agent.act([1, 2, 4])
        agent.learn(0, False, False, [4, 5, 6])
        with self.assertRaisesRegex(RuntimeError, "before act"):
            agent.learn(0, False, False, [1, 2, 3])
        with self.assertRaisesRegex(ValueError, "next_observation"):
            agent.act([1, 2, 3])
        agent.act([4, 5, 6])
        agent.learn(0, True, False, [7, 8, 9])
        agent.act([1, 2, 3])  # of a new episode
        agent.end_episode()
        agent.act([3, 2, 1])
        self.assertEqual(agent.steps, 2)

    def test_takes_two_booleans(self):
        agent = new_agent()
        agent.act([1, 2, 3])
        for wrong in (0, "no", None, [False]):
            with self.assertRaisesRegex(TypeError, "True or False"):
                agent.learn(0, wrong, False, [1, 2, 3])
            with self.assertRaisesRegex(TypeError, "True or False"):
                agent.learn(0, False, wrong, [1, 2, 3])
        with self.assertRaises(TypeError):
            agent.learn("much", False, False, [1, 2, 3])
        agent.learn(np.float32(1), np.bool_(False), np.bool_(True), [1, 2, 3])
        agent.act([9, 9, 9])

    def test_a_number_that_is_not_finite_ends_the_episode(self):
        agent = new_agent()
        for reward, observation in ((float("nan"), [1, 2, 3]), (0, [1, float("inf"), 3])):
            agent.act([1, 2, 3])
            agent.learn(reward, False, False, observation)
        self.assertEqual(agent.dropped_steps, 2)
        self.assertTrue(np.isfinite(agent.act([5, 5, 5])).all())

    def test_says_that_a_new_policy_has_no_action_for_zeros(self):
        agent = new_agent()
        with self.assertRaisesRegex(RuntimeError, "all zeros"):
            agent.act([0, 0, 0])
        agent.act([0, 0, 1])

    def test_refuses_what_cannot_be_made(self):
        for arguments, settings, error, text in (
                ((0, 1), {}, ValueError, "observation_dim is 0"), ((3, 2, "sarsa"), {}, ValueError, "sarsa"),
                ((3, 2), {"seed": -1}, ValueError, "seed"), ((3, 2), {"seed": 1.5}, TypeError, ""),
                ((3, 2), {"no_such_thing": 1}, ValueError, "no_such_thing"), ((3, 2), {"hidden": "wide"}, ValueError, "hidden"),
                ((3, 2), {"task": "hooper"}, ValueError, "hooper"), ((3, 2), {"task": "dot_reacher"}, ValueError, "sizes|has"),
                ((3.5, 2), {}, TypeError, "")):
            with self.assertRaisesRegex(error, text):
                instep.Agent(*arguments, **settings)

    def test_goes_on_from_what_was_saved(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = os.path.join(scratch, "mine")
            agent = new_agent()
            run(agent, 0, 100)
            agent.save(folder)
            loaded = instep.Agent.load(folder)
            self.assertEqual((loaded.steps, loaded.observation_dim, loaded.action_dim), (100, 3, 2))
            self.assertTrue((run(agent, 100, 150) == run(loaded, 100, 150)).all())
            with self.assertRaises(Exception) as caught:
                instep.Agent.load(os.path.join(scratch, "nothing"))
            self.assertRegex(str(caught.exception), "nothing")
            (pathlib.Path(scratch) / "file").touch()
            with self.assertRaises(Exception):
                agent.save(os.path.join(scratch, "file"))
            data = bytearray((pathlib.Path(folder) / "checkpoint").read_bytes())
            (pathlib.Path(folder) / "checkpoint").write_bytes(bytes(len(data)))
            with self.assertRaises(RuntimeError):
                instep.Agent.load(folder)

    def test_two_agents_give_the_bits_that_each_gives_alone(self):
        alone = run(new_agent(), 0, 100)
        one, other = new_agent(), new_agent(2)
        parts = []
        for first in range(0, 100, 10):
            parts.append(run(one, first, first + 10))
            run(other, first, first + 10)
        self.assertTrue((np.concatenate(parts) == alone).all())

    def test_two_threads_in_one_agent_are_an_error(self):
        agent = new_agent()
        inside, go_on = threading.Event(), threading.Event()

        class Slow:
            def __array__(self, dtype=None, copy=None):
                inside.set()
                go_on.wait(60)
                return np.ones(3)

        thread = threading.Thread(target=lambda: agent.act(Slow()))
        thread.start()
        inside.wait(60)
        for call in (lambda: agent.act([1, 2, 3]), agent.end_episode, lambda: agent.steps):
            with self.assertRaisesRegex(RuntimeError, "another thread"):
                call()
        go_on.set()
        thread.join()
        agent.learn(0, False, False, [1, 2, 3])

    def test_learns_without_the_interpreter_lock(self):
        """Where nobody asks for the lock for as long as this takes, another thread runs only when learn() leaves it."""
        agent = new_agent(hidden=256)
        agent.act([1, 0, 0])
        interval = sys.getswitchinterval()
        turns, is_done = [0], threading.Event()

        def count():
            while not is_done.is_set():
                turns[0] += 1
                time.sleep(0)

        thread = threading.Thread(target=count)
        thread.start()
        sys.setswitchinterval(1000)
        try:
            before = turns[0]
            for _ in range(2000):
                agent.learn(0, False, False, [1, 0, 0])
                agent.act([1, 0, 0])
            after = turns[0]
        finally:
            sys.setswitchinterval(interval)
            is_done.set()
            thread.join()
        self.assertGreater(after, before)

    def test_a_fork_gives_each_process_an_agent(self):
        agent = new_agent()
        run(agent, 0, 20)
        expected = run(new_agent(), 0, 40)[20:]
        child = os.fork()
        if child == 0:
            os._exit(0 if (run(agent, 20, 40) == expected).all() else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertTrue((run(agent, 20, 40) == expected).all())

    def test_keeps_no_memory(self):
        agent = new_agent()
        observation = np.ones(3)

        def steps(count):
            for i in range(count):
                agent.act(observation if i % 2 else [1, 1, 1])
                agent.learn(0.0, False, False, observation)
                if i % 100 == 0:
                    with self.assertRaises(ValueError):
                        agent.act([1, 2])

        steps(5000)
        gc.collect()
        tracemalloc.start()
        steps(2000)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        steps(10_000)
        gc.collect()
        self.assertLess(tracemalloc.get_traced_memory()[0] - before, 20_000)
        tracemalloc.stop()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        steps(100_000)
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 2048)  # kB

    def test_agents_give_their_memory_back(self):
        for _ in range(20):
            new_agent(hidden=256).act([1, 2, 3])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(100):
            new_agent(hidden=256).act([1, 2, 3])
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 20_000)  # kB
