"""JAX: one jit-compiled call an update, buffers donated, everything inside it: normaliser, noise, both actor
forwards, TD-error scale, gradients and Adam. One pass backwards through the critic serves actor and critic,
and beta1 = 0 keeps no first moment, as in the fused learner.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)  # for the statistics; networks stay float32

BETA2, EPS = 0.999, 1e-8
MOMENTS = ("reward", "discount", "ret", "ret_square")


def body(p, x):
    h = jax.nn.leaky_relu(p["w1"] @ x + p["b1"], 0.01)
    h = jax.nn.leaky_relu(p["w2"] @ h + p["b2"], 0.01)
    return h / jnp.sqrt(jnp.sum(h * h))


def critic(p, x, a):
    return (p["w_o"] @ body(p, jnp.concatenate([x, a])) + p["b_o"])[0]


def draw(p, x, noise):
    """A squashed Gaussian action and its log probability; the head named l is a log variance."""
    feature = body(p, x)
    mean = p["w_mu"] @ feature + p["b_mu"]
    log_variance = jnp.clip(p["w_l"] @ feature + p["b_l"], -20.0, 2.0)
    pre = mean + jnp.exp(0.5 * log_variance) * noise
    gauss = -0.5 * jnp.sum(noise * noise + log_variance + math.log(2 * math.pi))
    squash = jnp.sum(2.0 * (math.log(2.0) - pre - jax.nn.softplus(-2.0 * pre)))
    return (jnp.tanh(pre), gauss - squash), (mean, log_variance, pre)


def observe(normalizer, observation):
    mean, var, count = normalizer["mean"], normalizer["var"], normalizer["count"]
    total = count + 1.0
    delta = observation - mean
    mean = mean + delta / total
    var = (var * count + delta * delta * (count / total)) / total
    x = ((observation - mean) / jnp.sqrt(var + 1e-8)).astype(jnp.float32)
    return {"mean": mean, "var": var, "count": total}, x


def push(moments, x):
    count, mean, sum_squares = moments
    delta = x - mean
    new_mean = mean + delta / (count + 1.0)
    return jnp.stack([count + 1.0, new_mean, sum_squares + delta * (x - new_mean)])


def push_if(condition, moments, x):
    return jnp.where(condition, push(moments, x), moments)


def td_error_scale(scale, r_stat, discount, terminated):
    running_return = scale["G"] + r_stat
    new = {
        "reward": push(scale["reward"], r_stat),
        "discount": push(scale["discount"], jnp.where(terminated, 0.0, discount)),
        "ret": push_if(terminated, scale["ret"], running_return),
        "ret_square": push_if(terminated, scale["ret_square"], running_return**2),
        "G": jnp.where(terminated, 0.0, running_return),
    }
    variance = new["reward"][2] / new["reward"][0]
    variance += new["discount"][2] / new["discount"][0] * new["ret_square"][1]
    variance = jnp.maximum(variance, 1e-4)
    is_start = (variance <= 0.01) & (new["ret"][0] == 0)
    return new, running_return, jnp.where(is_start, 1.0, jnp.sqrt(variance))


def adam(weights, second, gradient, lr, power):
    """Adam with beta1 = 0, bias correction folded into two scalars."""
    root = jnp.sqrt(1.0 - power)
    lr, eps = (lr * root).astype(jnp.float32), (EPS * root).astype(jnp.float32)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1.0 - BETA2) * g * g, second, gradient)
    step = lambda w, v, g: w - lr * g / (jnp.sqrt(v) + eps)  # noqa: E731
    return jax.tree.map(step, weights, second, gradient), second


def update(config, state, observation, reward, terminated, noise):
    """One update by given noise [2, m]: the new state, and what it computed on the way."""
    x, actor_p, critic_p = state["x"], state["actor"], state["critic"]
    normalizer, x_next = observe(state["normalizer"], observation)
    act = partial(draw, x=x, noise=noise[0])
    (a, logp), draw_vjp, (mean, log_variance, pre) = jax.vjp(act, actor_p, has_aux=True)
    (a_next, logp_next), _ = draw(actor_p, x_next, noise[1])
    q, critic_vjp = jax.vjp(critic, critic_p, x, a)
    q_next = critic(critic_p, x_next, a_next)

    alpha, gamma = config["alpha"], config["gamma"]
    r_stat = reward - alpha * logp.astype(jnp.float64)
    scale, running_return, sigma = td_error_scale(state["scale"], r_stat, gamma, terminated)
    divisor = sigma.astype(jnp.float32)
    bootstrap = jnp.where(terminated, 0.0, gamma).astype(jnp.float32)
    target = reward.astype(jnp.float32) + bootstrap * (q_next - alpha * logp_next)
    td_error = (target - q) / divisor

    critic_gradient, _, dq_da = critic_vjp(jnp.float32(1.0))
    slope = -2.0 * td_error / divisor
    critic_gradient = jax.tree.map(lambda g: slope * g, critic_gradient)
    (actor_gradient,) = draw_vjp((-dq_da, jnp.float32(alpha)))
    power = state["power"] * BETA2
    actor_p, actor_v = adam(actor_p, state["actor_v"], actor_gradient, config["actor_lr"], power)
    critic_p, critic_v = adam(
        critic_p, state["critic_v"], critic_gradient, config["critic_lr"], power
    )
    new_state = {
        "x": x_next, "actor": actor_p, "critic": critic_p, "actor_v": actor_v, "critic_v": critic_v,
        "normalizer": normalizer, "scale": scale, "power": power, "key": state["key"],
    }  # fmt: skip
    outputs = {
        "x": x, "mu": mean, "log_std": log_variance, "pre": pre, "action": a, "logp": logp,
        "r_stat": r_stat, "G": running_return, "sigma": sigma, "q": q, "q_next": q_next,
        "delta": td_error, "critic_loss": td_error**2, "actor_loss": alpha * logp - q,
        "next_action": a_next, "next_logp": logp_next, "dq_da": dq_da,
    }  # fmt: skip
    return new_state, outputs


def update_with_own_noise(config, state, observation, reward, terminated):
    key, draw_key = jax.random.split(state["key"])
    noise = jax.random.normal(draw_key, (2, config["m"]), jnp.float32)
    state, outputs = update(config, state | {"key": key}, observation, reward, terminated, noise)
    return state, outputs["action"]


class Peer:
    def __init__(self, config, weights):
        if config["beta1"] != 0.0:
            raise ValueError("the JAX peer knows beta1 = 0 only")
        network = lambda name: {  # noqa: E731
            key.split("/")[1]: jnp.array(value, jnp.float32)
            for key, value in weights.items()
            if key.startswith(name)
        }
        zeros = lambda tree: jax.tree.map(jnp.zeros_like, tree)  # noqa: E731
        n = config["n"]
        self.state_tree = {
            "x": jnp.zeros(n, jnp.float32), "actor": network("actor"), "critic": network("critic"),
            "actor_v": zeros(network("actor")), "critic_v": zeros(network("critic")),
            "normalizer": {"mean": jnp.zeros(n), "var": jnp.ones(n), "count": jnp.array(1e-4)},
            "scale": {name: jnp.zeros(3) for name in MOMENTS} | {"G": jnp.array(0.0)},
            "power": jnp.array(1.0), "key": jax.random.PRNGKey(0),
        }  # fmt: skip
        self.jit_step = jax.jit(partial(update_with_own_noise, config), donate_argnums=0)
        self.jit_update = jax.jit(partial(update, config), donate_argnums=0)
        self.jit_observe = jax.jit(observe)

    def begin_episode(self, observation):
        tree = self.state_tree
        tree["normalizer"], tree["x"] = self.jit_observe(tree["normalizer"], observation)

    def step(self, next_observation, reward, terminated):
        self.state_tree, action = self.jit_step(
            self.state_tree, next_observation, np.float64(reward), np.bool_(terminated)
        )
        return np.asarray(action)

    def step_with_noise(self, next_observation, reward, terminated, noise):
        self.state_tree, outputs = self.jit_update(
            self.state_tree, next_observation, np.float64(reward), np.bool_(terminated), noise
        )
        return outputs

    def state(self):
        tree = self.state_tree
        state = {
            f"{network}/{name}": value
            for network in ("actor", "critic", "actor_v", "critic_v")
            for name, value in tree[network].items()
        }
        state |= {"norm_" + name: value for name, value in tree["normalizer"].items()}
        state["scale"] = jnp.stack([tree["scale"][name] for name in MOMENTS])
        state["G"] = tree["scale"]["G"]
        return state
