"""PyTorch trimmed for this update: no autograd, no distributions, no optimiser objects, as few calls as found.

* Gradients by hand: outer products written straight into one flat vector of gradients, so that Adam is
  four calls over everything (beta1 = 0 keeps no first moment); weights are views of another flat vector.
* Biases are a last column of their matrices (inputs end in a 1), and the two heads are one matrix.
* Q(s, a) and Q(s', a') are one critic forward with two rows; one pass backwards through the critic serves
  actor and critic.
* The few numbers an action needs are done in NumPy, whose calls cost less than PyTorch's.
* TorchScript and torch.compile are left out: this is the eager line.
"""

import math

import numpy as np
import torch
from torch.nn.functional import leaky_relu

from host_statistics import Normalizer, TdErrorScale

torch.set_num_threads(1)
torch.set_grad_enabled(False)

BETA2, EPS = 0.999, 1e-8
LOG_2, LOG_2PI = math.log(2.0), math.log(2.0 * math.pi)


class Network:
    """Two hidden layers and linear outputs; matrices [outputs, inputs + 1] are views of flat vectors."""

    def __init__(self, flat, gradient, sizes):
        self.w, self.g = [], []
        at = 0
        for inputs, outputs in sizes:
            count = outputs * (inputs + 1)
            self.w.append(flat[at : at + count].view(outputs, inputs + 1))
            self.g.append(gradient[at : at + count].view(outputs, inputs + 1))
            at += count
        self.transposed = [w.t() for w in self.w]
        self.transposed_core = [w[:, :-1].t() for w in self.w]

    @staticmethod
    def count(sizes):
        return sum(outputs * (inputs + 1) for inputs, outputs in sizes)


class Tape:
    """Buffers of a forward pass over `rows` inputs; each ends in the 1 that a bias is multiplied by."""

    def __init__(self, rows, inputs, hidden):
        self.x = torch.ones(rows, inputs + 1)
        self.h1 = torch.ones(rows, hidden + 1)
        self.feature = torch.ones(rows, hidden + 1)
        self.x_numpy = self.x.numpy()
        self.h1_core, self.feature_core = self.h1[:, :-1], self.feature[:, :-1]


def forward(network, tape):
    w1, w2, head = network.transposed
    torch.mm(tape.x, w1, out=tape.z1)
    # What torch.nn.functional calls itself, which offers no `out`.
    torch._C._nn.leaky_relu(tape.z1, 0.01, out=tape.h1_core)
    torch.mm(tape.h1, w2, out=tape.z2)
    h2 = leaky_relu(tape.z2, 0.01)
    tape.length = torch.linalg.vector_norm(h2, dim=1, keepdim=True)
    torch.div(h2, tape.length, out=tape.feature_core)
    return torch.mm(tape.feature, head)


def backward(network, tape, d_feature):
    """Gradients before the nonlinearities for the tape's first row."""
    feature = tape.feature_core[0]
    d = torch.addcmul(d_feature, feature, torch.dot(feature, d_feature), value=-1.0)
    d.div_(tape.length[0])
    d2 = torch.ops.aten.leaky_relu_backward(d, tape.z2[0], 0.01, False)
    d1 = torch.mv(network.transposed_core[1], d2)
    return torch.ops.aten.leaky_relu_backward(d1, tape.z1[0], 0.01, False), d2


def set_gradients(network, tape, d1, d2, d_head):
    torch.outer(d1, tape.x[0], out=network.g[0])
    torch.outer(d2, tape.h1[0], out=network.g[1])
    torch.outer(d_head, tape.feature[0], out=network.g[2])


class Peer:
    def __init__(self, config, weights):
        if config["beta1"] != 0.0:
            raise ValueError("the trimmed peer knows beta1 = 0 only")
        n, m, hidden = config["n"], config["m"], config["hidden"]
        self.config, self.n, self.m = config, n, m
        actor_sizes = [(n, hidden), (hidden, hidden), (hidden, 2 * m)]
        critic_sizes = [(n + m, hidden), (hidden, hidden), (hidden, 1)]
        actor_count = Network.count(actor_sizes)
        total = actor_count + Network.count(critic_sizes)
        self.flat, self.gradient, self.second = (torch.zeros(total) for _ in range(3))
        self.denominator = torch.zeros(total)
        split = lambda flat: (flat[:actor_count], flat[actor_count:])  # noqa: E731
        (actor_flat, critic_flat), (actor_g, critic_g) = split(self.flat), split(self.gradient)
        self.actor = Network(actor_flat, actor_g, actor_sizes)
        self.critic = Network(critic_flat, critic_g, critic_sizes)
        self.adam_parts = [
            (lr, w, g, d)
            for lr, w, g, d in zip(
                (config["actor_lr"], config["critic_lr"]),
                (actor_flat, critic_flat), (actor_g, critic_g), split(self.denominator),
            )
        ]  # fmt: skip
        for name, array in self.named_views(self.flat).items():
            array.copy_(torch.from_numpy(weights[name].copy()).view(array.shape))
        self.power = 1.0
        self.open, self.next = Tape(1, n, hidden), Tape(1, n, hidden)
        self.both = Tape(2, n + m, hidden)
        for tape in self.open, self.next, self.both:
            rows = tape.x.shape[0]
            tape.z1, tape.z2 = torch.zeros(rows, hidden), torch.zeros(rows, hidden)
        self.action_columns = self.critic.w[0][:, n : n + m].t()
        self.value_row = self.critic.w[2][0, :-1]
        self.normalizer, self.scale = Normalizer(n), TdErrorScale()

    def named_views(self, flat):
        """The arrays of a flat vector by the golden files' names."""
        n, m, hidden = self.n, self.m, self.config["hidden"]
        layers = [
            ("actor", "1", n, hidden), ("actor", "2", hidden, hidden), ("actor", "_mu", hidden, m),
            ("actor", "_l", hidden, m), ("critic", "1", n + m, hidden),
            ("critic", "2", hidden, hidden), ("critic", "_o", hidden, 1),
        ]  # fmt: skip
        views, at = {}, 0
        for network, name, inputs, outputs in layers:
            matrix = flat[at : at + outputs * (inputs + 1)].view(outputs, inputs + 1)
            at += matrix.numel()
            views[f"{network}/w{name}"], views[f"{network}/b{name}"] = matrix[:, :-1], matrix[:, -1]
        return views

    def begin_episode(self, observation):
        self.open.x_numpy[0, : self.n] = self.normalizer(observation)

    def draw(self, tape, noise):
        head = forward(self.actor, tape).numpy()[0]
        raw = head[self.m :]
        log_variance = np.minimum(np.maximum(raw, np.float32(-20.0)), np.float32(2.0))
        std = np.exp(np.float32(0.5) * log_variance)
        pre = head[: self.m] + std * noise
        softplus = np.logaddexp(np.float32(0.0), np.float32(-2.0) * pre)
        terms = -0.5 * (noise * noise + log_variance) - 2.0 * (LOG_2 - pre - softplus)
        log_prob = float(terms.sum()) - 0.5 * LOG_2PI * self.m
        inside = raw == log_variance
        return np.tanh(pre), log_prob, std, inside, pre, log_variance

    def step(self, next_observation, reward, terminated):
        noise = torch.randn(2, self.m).numpy()
        return self.update(next_observation, reward, terminated, noise)["action"]

    def update(self, next_observation, reward, terminated, noise):
        n, alpha, gamma = self.n, self.config["alpha"], self.config["gamma"]
        action, log_prob, std, inside, pre, log_variance = self.draw(self.open, noise[0])
        # From here on the action has been sent and its consequences are known.
        self.next.x_numpy[0, :n] = self.normalizer(next_observation)
        next_action, next_log_prob = self.draw(self.next, noise[1])[:2]
        both = self.both.x_numpy
        both[0, :n], both[0, n:-1] = self.open.x_numpy[0, :n], action
        both[1, :n], both[1, n:-1] = self.next.x_numpy[0, :n], next_action
        q, q_next = forward(self.critic, self.both).view(2).tolist()
        r_stat = reward - alpha * log_prob
        running_return, sigma = self.scale.push(r_stat, gamma, terminated)
        bootstrap = 0.0 if terminated else gamma
        td_error = (reward + bootstrap * (q_next - alpha * next_log_prob) - q) / sigma

        d1, d2 = backward(self.critic, self.both, self.value_row)
        dq_da = torch.mv(self.action_columns, d1).numpy()
        d_head = np.empty(2 * self.m, np.float32)
        d_head[: self.m] = 2.0 * alpha * action - dq_da * (1.0 - action * action)
        d_head[self.m :] = (0.5 * d_head[: self.m] * noise[0] * std - 0.5 * alpha) * inside
        d_head = torch.from_numpy(d_head)
        d_feature = torch.mv(self.actor.transposed_core[2], d_head)
        set_gradients(self.actor, self.open, *backward(self.actor, self.open, d_feature), d_head)
        slope = torch.tensor([-2.0 * td_error / sigma])
        set_gradients(self.critic, self.both, d1.mul_(slope), d2.mul_(slope), slope)
        self.adam()
        self.open, self.next = self.next, self.open
        return {
            "pre": pre, "log_std": log_variance, "action": action, "logp": log_prob, "r_stat": r_stat,
            "G": running_return, "sigma": sigma, "q": q, "q_next": q_next, "delta": td_error,
            "critic_loss": td_error**2, "actor_loss": alpha * log_prob - q,
            "next_action": next_action, "next_logp": next_log_prob, "dq_da": dq_da,
        }  # fmt: skip

    def adam(self):
        self.power *= BETA2
        root = math.sqrt(1.0 - self.power)
        self.second.mul_(BETA2).addcmul_(self.gradient, self.gradient, value=1.0 - BETA2)
        torch.sqrt(self.second, out=self.denominator).add_(EPS * root)
        for lr, weights, gradient, denominator in self.adam_parts:
            weights.addcdiv_(gradient, denominator, value=-lr * root)

    def step_with_noise(self, next_observation, reward, terminated, noise):
        return self.update(next_observation, reward, terminated, noise)

    def state(self):
        state = self.normalizer.state() | self.scale.state()
        for name, array in self.named_views(self.flat).items():
            state[name] = array.numpy()
        for name, array in self.named_views(self.second).items():
            network, layer = name.split("/")
            state[f"{network}_v/{layer}"] = array.numpy()
        return state
