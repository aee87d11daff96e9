"""PyTorch on a GPU: the trimmed update (see torch_trimmed_peer.py) as two CUDA graphs.

One graph draws an action and one learns from what followed, so a step is two replays, and between them the
action is copied to the host. Everything an update needs stays on the GPU, the running statistics of the
scale included; only observations are normalised on the host. Without a GPU nothing can be captured: then a
device may be named to run the same calls one by one, which a test does.
"""

import math

import numpy as np
import torch
from torch.nn.functional import leaky_relu, softplus

from host_statistics import Normalizer

torch.set_grad_enabled(False)

BETA2, EPS = 0.999, 1e-8
LOG_2, LOG_2PI = math.log(2.0), math.log(2.0 * math.pi)


class Network:
    """Two hidden layers and linear outputs; every array is a view of flat vectors."""

    def __init__(self, sizes, device):
        total = sum(outputs * inputs + outputs for inputs, outputs in sizes)
        self.flat, self.gradient, self.second = (torch.zeros(total, device=device) for _ in range(3))
        self.w, self.b = self.views(self.flat, sizes)
        self.dw, self.db = self.views(self.gradient, sizes)
        self.vw, self.vb = self.views(self.second, sizes)

    @staticmethod
    def views(flat, sizes):
        matrices, biases, at = [], [], 0
        for inputs, outputs in sizes:
            matrices.append(flat[at : at + inputs * outputs].view(outputs, inputs))
            at += inputs * outputs
            biases.append(flat[at : at + outputs])
            at += outputs
        return matrices, biases

    def forward(self, x):
        z1 = torch.addmv(self.b[0], self.w[0], x)
        h1 = leaky_relu(z1, 0.01)
        z2 = torch.addmv(self.b[1], self.w[1], h1)
        h2 = leaky_relu(z2, 0.01)
        length = torch.linalg.vector_norm(h2)
        feature = h2 / length
        return torch.addmv(self.b[2], self.w[2], feature), (x, z1, h1, z2, length, feature)

    def backward(self, tape, d_feature):
        """Leaves the hidden biases' gradients, which are those before the nonlinearities."""
        _, z1, _, z2, length, feature = tape
        d = (d_feature - feature * torch.dot(feature, d_feature)) / length
        d2 = torch.ops.aten.leaky_relu_backward(d, z2, 0.01, False)
        d1 = torch.mv(self.w[1].t(), d2)
        self.db[0].copy_(torch.ops.aten.leaky_relu_backward(d1, z1, 0.01, False))
        self.db[1].copy_(d2)

    def adam(self, tape, lr, power):
        """From the biases' gradients; `power` is beta2 to the number of updates."""
        for dw, db, x in zip(self.dw, self.db, (tape[0], tape[2], tape[5])):
            torch.outer(db, x, out=dw)
        root = torch.sqrt(1.0 - power).float()
        self.second.mul_(BETA2).addcmul_(self.gradient, self.gradient, value=1.0 - BETA2)
        denominator = torch.sqrt(self.second).add_(EPS * root)
        self.flat.sub_(lr * root * self.gradient / denominator)


class Scale:
    """TdErrorScale of host_statistics.py as tensors: count, mean, sum of squares in rows."""

    REWARD, DISCOUNT, RETURN, RETURN_SQUARE = range(4)

    def __init__(self, device):
        self.moments = torch.zeros(4, 3, dtype=torch.float64, device=device)
        self.running_return = torch.zeros((), dtype=torch.float64, device=device)

    def push(self, row, x, weight):
        """Takes x where weight is 1, nothing where it is 0."""
        count, mean, sum_squares = self.moments[row]
        count += weight
        delta = (x - mean) * weight
        mean += delta / torch.clamp(count, min=1.0)
        sum_squares += delta * (x - mean)

    def variance(self, row):
        return self.moments[row, 2] / torch.clamp(self.moments[row, 0], min=1.0)

    def scale(self, reward, discount, terminated):
        self.running_return += reward
        total = self.running_return.clone()
        self.push(self.REWARD, reward, 1.0)
        self.push(self.DISCOUNT, discount * (1.0 - terminated), 1.0)
        self.push(self.RETURN, total, terminated)
        self.push(self.RETURN_SQUARE, total * total, terminated)
        self.running_return *= 1.0 - terminated
        variance = self.variance(self.REWARD)
        variance = variance + self.variance(self.DISCOUNT) * self.moments[self.RETURN_SQUARE, 1]
        variance = torch.clamp(variance, min=1e-4)
        is_start = (variance <= 0.01) & (self.moments[self.RETURN, 0] == 0.0)
        return total, torch.where(is_start, torch.ones_like(variance), torch.sqrt(variance))


class Peer:
    waits_for_gpu = True

    def __init__(self, config, weights, device="cuda"):
        if config["beta1"] != 0.0 or not (config["obs_norm"] and config["pnorm"] and config["td_scale"]):
            raise ValueError("the peer on a GPU knows beta1 = 0 and all three normalisations only")
        n, m, hidden = config["n"], config["m"], config["hidden"]
        self.config, self.n, self.m = config, n, m
        self.actor = Network([(n, hidden), (hidden, hidden), (hidden, 2 * m)], device)
        self.critic = Network([(n + m, hidden), (hidden, hidden), (hidden, 1)], device)
        for name, array in self.named_views(False).items():
            array.copy_(torch.from_numpy(weights[name].copy()).view(array.shape))
        # What the host writes before a replay, in one copy: observation, noise, reward, terminated.
        self.host_input = torch.zeros(n + 2 * m + 2)
        if device == "cuda":
            self.host_input = self.host_input.pin_memory()
        self.input = torch.zeros(n + 2 * m + 2, device=device)
        self.open_x, self.next_x = (torch.zeros(n + m, device=device) for _ in range(2))
        self.power = torch.ones((), dtype=torch.float64, device=device)
        self.scale, self.normalizer = Scale(device), Normalizer(n)
        self.outputs = {}
        self.act, self.learn = self.draw_open, self.update
        if device == "cuda":
            self.act, self.learn = self.capture()

    def capture(self):
        """Both halves as graphs. Warming up and capturing leave no trace in what was learnt."""
        state = [self.actor.flat, self.critic.flat, self.actor.second, self.critic.second, self.open_x]
        state += [self.next_x, self.power, self.scale.moments, self.scale.running_return]
        saved = [array.clone() for array in state]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.draw_open()
                self.update()
        torch.cuda.current_stream().wait_stream(stream)
        graphs = []
        for half in self.draw_open, self.update:
            graphs.append(torch.cuda.CUDAGraph())
            with torch.cuda.graph(graphs[-1]):
                half()
        for array, value in zip(state, saved):
            array.copy_(value)
        return graphs[0].replay, graphs[1].replay

    def named_views(self, moments):
        views = {}
        for prefix, network in ("actor", self.actor), ("critic", self.critic):
            matrices, biases = (network.vw, network.vb) if moments else (network.w, network.b)
            for i, layer in enumerate(("1", "2")):
                views[f"{prefix}/w{layer}"], views[f"{prefix}/b{layer}"] = matrices[i], biases[i]
        matrices, biases = (self.actor.vw, self.actor.vb) if moments else (self.actor.w, self.actor.b)
        for name, rows in ("_mu", slice(0, self.m)), ("_l", slice(self.m, None)):
            views[f"actor/w{name}"], views[f"actor/b{name}"] = matrices[2][rows], biases[2][rows]
        critic = self.critic
        matrices, biases = (critic.vw, critic.vb) if moments else (critic.w, critic.b)
        views["critic/w_o"], views["critic/b_o"] = matrices[2], biases[2]
        return views

    def draw(self, x, noise):
        head, tape = self.actor.forward(x[: self.n])
        raw = head[self.m :]
        log_variance = torch.clamp(raw, -20.0, 2.0)
        std = torch.exp(0.5 * log_variance)
        pre = head[: self.m] + std * noise
        terms = -0.5 * (noise * noise + log_variance) - 2.0 * (LOG_2 - pre - softplus(-2.0 * pre))
        log_prob = terms.sum() - 0.5 * LOG_2PI * self.m
        action = torch.tanh(pre)
        x[self.n :].copy_(action)
        return action, log_prob, std, raw == log_variance, pre, log_variance, tape

    def draw_open(self):
        self.drawn = self.draw(self.open_x, self.input[self.n : self.n + self.m])

    def update(self):
        n, m, alpha, gamma = self.n, self.m, self.config["alpha"], self.config["gamma"]
        action, log_prob, std, inside, pre, log_variance, actor_tape = self.drawn
        reward, terminated = self.input[-2].double(), self.input[-1].double()
        self.next_x[:n].copy_(self.input[:n])
        next_action, next_log_prob = self.draw(self.next_x, self.input[n + m : n + 2 * m])[:2]
        q, tape = self.critic.forward(self.open_x)
        q_next, _ = self.critic.forward(self.next_x)
        r_stat = reward - alpha * log_prob.double()
        running_return, sigma = self.scale.scale(r_stat, gamma, terminated)
        soft_value = q_next - alpha * next_log_prob
        td_error = (reward.float() + gamma * (1.0 - terminated.float()) * soft_value - q) / sigma.float()

        self.critic.backward(tape, self.critic.w[2][0])
        dq_da = torch.mv(self.critic.w[0][:, n:].t(), self.critic.db[0])
        d_mean = 2.0 * alpha * action - dq_da * (1.0 - action * action)
        noise = self.input[n : n + m]
        self.actor.db[2][:m].copy_(d_mean)
        self.actor.db[2][m:].copy_((0.5 * d_mean * noise * std - 0.5 * alpha) * inside)
        self.actor.backward(actor_tape, torch.mv(self.actor.w[2].t(), self.actor.db[2]))
        slope = -2.0 * td_error / sigma.float()
        for gradient in self.critic.db[:2]:
            gradient.mul_(slope)
        self.critic.db[2].copy_(slope)
        self.power.mul_(BETA2)
        self.actor.adam(actor_tape, self.config["actor_lr"], self.power)
        self.critic.adam(tape, self.config["critic_lr"], self.power)
        self.open_x.copy_(self.next_x)
        self.outputs = {
            "pre": pre, "log_std": log_variance, "action": action, "logp": log_prob, "r_stat": r_stat,
            "G": running_return, "sigma": sigma, "q": q, "q_next": q_next, "delta": td_error,
            "critic_loss": td_error**2, "actor_loss": alpha * log_prob - q,
            "next_action": next_action, "next_logp": next_log_prob, "dq_da": dq_da,
        }  # fmt: skip

    def begin_episode(self, observation):
        self.open_x[: self.n].copy_(torch.from_numpy(self.normalizer(observation)))

    def step(self, next_observation, reward, terminated):
        return self.run(next_observation, reward, terminated, np.random.randn(2, self.m))

    def run(self, next_observation, reward, terminated, noise):
        n, m = self.n, self.m
        host = self.host_input.numpy()
        host[n : n + 2 * m] = noise.reshape(-1)
        self.input.copy_(self.host_input, non_blocking=True)
        self.act()
        action = self.drawn[0].cpu().numpy()
        # From here on the action has been sent and its consequences are known.
        host[:n] = self.normalizer(next_observation)
        host[n + 2 * m :] = reward, terminated
        self.input.copy_(self.host_input, non_blocking=True)
        self.learn()
        if self.input.is_cuda:
            torch.cuda.synchronize()
        return action

    def step_with_noise(self, next_observation, reward, terminated, noise):
        self.run(next_observation, reward, terminated, noise)
        return {name: value.cpu().numpy() for name, value in self.outputs.items()}

    def state(self):
        state = self.normalizer.state()
        state["G"] = self.scale.running_return.cpu().numpy()
        state["scale"] = self.scale.moments.cpu().numpy()
        for name, array in self.named_views(False).items():
            state[name] = array.cpu().numpy()
        for name, array in self.named_views(True).items():
            network, layer = name.split("/")
            state[f"{network}_v/{layer}"] = array.cpu().numpy()
        return state
