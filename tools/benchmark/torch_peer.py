"""PyTorch as a reader of the paper writes AVG: torch.nn, torch.distributions, two Adams, autograd.

Like the authors' code it evaluates the critic three times and runs two backward passes through it.
"""

import math

import torch
from torch import nn
from torch.distributions import MultivariateNormal
from torch.nn import functional

from host_statistics import Normalizer, TdErrorScale

torch.set_num_threads(1)


class Body(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.layer1 = nn.Linear(inputs, hidden)
        self.layer2 = nn.Linear(hidden, hidden)

    def forward(self, x):
        h = functional.leaky_relu(self.layer1(x), 0.01)
        h = functional.leaky_relu(self.layer2(h), 0.01)
        return h / torch.linalg.vector_norm(h, dim=-1, keepdim=True)


class Actor(nn.Module):
    def __init__(self, n, m, hidden):
        super().__init__()
        self.body = Body(n, hidden)
        self.mean = nn.Linear(hidden, m)
        self.log_std = nn.Linear(hidden, m)

    def forward(self, observation, noise=None):
        """A squashed draw, its log probability, and the distribution before the squash."""
        feature = self.body(observation)
        log_std = torch.clamp(self.log_std(feature), -20.0, 2.0)
        # The second argument is a covariance, whatever the head is called: std = exp(log_std / 2).
        normal = MultivariateNormal(self.mean(feature), torch.diag_embed(log_std.exp()))
        pre = normal.rsample() if noise is None else normal.loc + normal.scale_tril @ noise
        squash = 2.0 * (math.log(2.0) - pre - functional.softplus(-2.0 * pre))
        return torch.tanh(pre), normal.log_prob(pre) - squash.sum(-1), normal


class Critic(nn.Module):
    def __init__(self, n, m, hidden):
        super().__init__()
        self.body = Body(n + m, hidden)
        self.value = nn.Linear(hidden, 1)

    def forward(self, observation, action):
        return self.value(self.body(torch.cat([observation, action], -1))).squeeze(-1)


class Peer:
    def __init__(self, config, weights):
        n, m, hidden = config["n"], config["m"], config["hidden"]
        self.discount, self.entropy_coef = config["gamma"], config["alpha"]
        betas = config["beta1"], 0.999
        self.actor, self.critic = Actor(n, m, hidden), Critic(n, m, hidden)
        self.arrays = {}
        for network, name, layer in [
            ("actor", "1", self.actor.body.layer1), ("actor", "2", self.actor.body.layer2),
            ("actor", "_mu", self.actor.mean), ("actor", "_l", self.actor.log_std),
            ("critic", "1", self.critic.body.layer1), ("critic", "2", self.critic.body.layer2),
            ("critic", "_o", self.critic.value),
        ]:  # fmt: skip
            self.arrays[f"{network}/w{name}"] = layer.weight
            self.arrays[f"{network}/b{name}"] = layer.bias
        with torch.no_grad():
            for name, array in self.arrays.items():
                array.copy_(torch.from_numpy(weights[name].copy()))
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), config["actor_lr"], betas)
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), config["critic_lr"], betas)
        self.normalizer, self.scale = Normalizer(n), TdErrorScale()

    def begin_episode(self, observation):
        self.observation = torch.from_numpy(self.normalizer(observation))

    def step(self, next_observation, reward, terminated):
        action, log_prob, _ = self.actor(self.observation)
        sent = action.detach().numpy()
        self.update(action, log_prob, next_observation, reward, terminated)
        return sent

    def update(self, action, log_prob, next_observation, reward, terminated, noise=None):
        next_observation = torch.from_numpy(self.normalizer(next_observation))
        r_stat = reward - self.entropy_coef * log_prob.item()
        running_return, sigma = self.scale.push(r_stat, self.discount, terminated)
        with torch.no_grad():
            next_action, next_log_prob, _ = self.actor(next_observation, noise)
            q_next = self.critic(next_observation, next_action)
            soft_value = q_next - self.entropy_coef * next_log_prob
            target = reward + (0.0 if terminated else self.discount) * soft_value
        q = self.critic(self.observation, action.detach())
        td_error = (target - q) / sigma
        actor_loss = self.entropy_coef * log_prob - self.critic(self.observation, action)
        critic_loss = td_error**2

        self.actor_adam.zero_grad()
        actor_loss.backward()
        self.actor_adam.step()
        self.critic_adam.zero_grad()
        critic_loss.backward()
        self.critic_adam.step()
        self.observation = next_observation
        return {
            "r_stat": r_stat, "G": running_return, "sigma": sigma, "q": q, "q_next": q_next,
            "delta": td_error, "critic_loss": critic_loss, "actor_loss": actor_loss,
            "next_action": next_action, "next_logp": next_log_prob,
        }  # fmt: skip

    def step_with_noise(self, next_observation, reward, terminated, noise):
        noise = torch.from_numpy(noise)
        x = self.observation
        action, log_prob, normal = self.actor(x, noise[0])
        outputs = {
            "x": x, "mu": normal.loc, "action": action, "logp": log_prob, "entropy": normal.entropy(),
        }  # fmt: skip
        outputs |= self.update(action, log_prob, next_observation, reward, terminated, noise[1])
        return {
            name: value.detach().numpy() if isinstance(value, torch.Tensor) else value
            for name, value in outputs.items()
        }

    def state(self):
        state = self.normalizer.state() | self.scale.state()
        moments = self.actor_adam.state | self.critic_adam.state
        for name, array in self.arrays.items():
            network, layer = name.split("/")
            state[name] = array.detach().numpy()
            state[f"{network}_m/{layer}"] = moments[array]["exp_avg"].numpy()
            state[f"{network}_v/{layer}"] = moments[array]["exp_avg_sq"].numpy()
        return state
