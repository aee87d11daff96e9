#!/usr/bin/env python3
"""rac_oracle.py FOLDER: writes the golden files of RAC, the learner of docs/one_setting.md.

NumPy alone, and nothing of the program's: every rule is written out here a second time. A file holds what goes in
(first weights, observations, rewards, ends, draws), what must come out in float64, and how far off a learner in float32
may be: a multiple of what this program itself is off by in float32, with sums taken in three orders.

Symbols: x observation fed to the nets, e standard normal draw, l log of the policy's *variance*, s scale of rewards, k
entropy weight in units of s, d TD error in units of s.
"""
import hashlib
import json
import pathlib
import struct
import sys

import numpy as np

ACTOR_KEYS = ("w1", "b1", "w2", "b2", "w_mu", "b_mu", "w_l", "b_l")
CRITIC_KEYS = ("w1", "b1", "w2", "b2", "w_o", "b_o")
NORM_EPS = 1e-5
STEP_EPS = 1e-8
SMALL = 1024  # weights of a layer whose gradients and maxima are kept
MARGIN = 24.0  # how many times our own float32 error is allowed
FLOOR = 4e-7  # of the largest number


class Net:
    """input -> H -> H with LayerNorm and leaky ReLU after each, then linear heads [(weights, bias), ...]."""

    def __init__(self, p, heads, c, order):
        self.p, self.heads, self.slope, self.order = p, heads, c["leaky_slope"], order

    def dot(self, w, x):
        """w @ x with the inputs in another order: other roundings."""
        return w[:, self.order[len(x)]] @ x[self.order[len(x)]]

    def norm(self, z):
        t = z.dtype.type
        centred = z - np.mean(z)
        std = np.sqrt(np.mean(centred * centred) + t(NORM_EPS))
        return centred / std, std

    def leaky(self, z):
        return np.where(z > 0, z, z.dtype.type(self.slope) * z)

    def forward(self, x):
        p = self.p
        n1, std1 = self.norm(self.dot(p["w1"], x) + p["b1"])
        h1 = self.leaky(n1)
        n2, std2 = self.norm(self.dot(p["w2"], h1) + p["b2"])
        h2 = self.leaky(n2)
        out = [self.dot(p[w], h2) + p[b] for w, b in self.heads]
        return out, (x, n1, std1, h1, n2, std2, h2)

    def unnorm(self, dh, n, std):
        """from the gradient after leaky ReLU to that of the sums before the norm."""
        t = dh.dtype.type
        dn = np.where(n > 0, dh, t(self.slope) * dh)
        return (dn - np.mean(dn) - n * np.mean(dn * n)) / std

    def backward(self, tape, d_out):
        """(gradient by each parameter, gradient by the input) of sum(d_out * outputs)."""
        x, n1, std1, h1, n2, std2, h2 = tape
        p, g = self.p, {}
        dh2 = np.zeros_like(h2)
        for (w, b), d in zip(self.heads, d_out):
            g[w], g[b] = np.outer(d, h2), d
            dh2 = dh2 + p[w].T @ d
        dz2 = self.unnorm(dh2, n2, std2)
        dz1 = self.unnorm(self.dot(np.ascontiguousarray(p["w2"].T), dz2), n1, std1)
        g["w2"], g["b2"] = np.outer(dz2, h1), dz2
        g["w1"], g["b1"] = np.outer(dz1, x), dz1
        return g, p["w1"].T @ dz1


def actor_heads():
    return [("w_mu", "b_mu"), ("w_l", "b_l")]


class Learner:
    """The whole of RAC; `kind` is the float type of the nets, statistics are float64."""

    def __init__(self, case, kind, orders):
        c = self.c = case["config"]
        self.t = kind
        cast = lambda p: {k: v.astype(kind) for k, v in p.items()}
        self.actor = Net(cast(case["actor"]), actor_heads(), c, orders)
        self.critic = Net(cast(case["critic"]), [("w_o", "b_o")], c, orders)
        zeros = lambda p: {k: np.zeros_like(v) for k, v in p.items()}
        self.actor_v, self.critic_v = zeros(self.actor.p), zeros(self.critic.p)
        self.critic_e = zeros(self.critic.p)
        n = c["n"]
        self.mean, self.var, self.count = np.zeros(n), np.ones(n), 1e-4
        self.ret, self.ret_count, self.ret_mean, self.ret_sum = 0.0, 0.0, 0.0, 0.0
        self.s = 1.0

    # ---- statistics
    def observe(self, o):
        if not self.c["obs_norm"]:
            return o.astype(self.t)
        total = self.count + 1.0
        delta = o - self.mean
        self.var = (self.var * self.count + delta * delta * self.count / total) / total
        self.mean = self.mean + delta / total
        self.count = total
        return ((o - self.mean) / np.sqrt(self.var + 1e-8)).astype(self.t)

    def take_reward(self, r, ended):
        """U <- gamma U + r; its deviation over the whole life is the scale. The critic's head follows."""
        self.ret = self.c["gamma"] * self.ret + r
        before_clear = self.ret
        self.ret_count += 1
        delta = self.ret - self.ret_mean
        self.ret_mean += delta / self.ret_count
        self.ret_sum += delta * (self.ret - self.ret_mean)
        if ended:
            self.ret = 0.0
        old = self.s
        if self.ret_count >= 2:
            self.s = max(np.sqrt(self.ret_sum / self.ret_count + 1e-8), 0.01)
        factor = self.t(old / self.s)
        for key in ("w_o", "b_o"):
            self.critic.p[key] = self.critic.p[key] * factor
        return before_clear

    # ---- policy
    def act(self, x, e):
        (mu, raw), tape = self.actor.forward(x)
        l = np.clip(raw, self.t(self.c["log_std_min"]), self.t(self.c["log_std_max"]))
        s = np.exp(l / self.t(2))
        e = e.astype(self.t)
        u = mu + s * e
        u64, l64, e64 = u.astype(float), l.astype(float), e.astype(float)
        # log(1 - tanh(u)^2) = 2 (log 2 - u - log(1 + exp(-2 u)))
        slope = 2 * (np.log(2) - u64 - np.logaddexp(0, -2 * u64))
        logp = np.sum(-0.5 * (e64 * e64 + l64 + np.log(2 * np.pi)) - slope)
        entropy = np.sum(0.5 * (1 + np.log(2 * np.pi) + l64))
        return {"x": x, "mu": mu, "raw": raw, "log_std": l, "s": s, "e": e, "pre": u, "action": np.tanh(u),
                "logp": self.t(logp), "entropy": self.t(entropy), "tape": tape}

    def value(self, a):
        (q,), tape = self.critic.forward(np.concatenate([a["x"], a["action"]]))
        return q[0], tape

    # ---- a step of either net, by the gradient of a loss
    def step(self, net, v, u, lr):
        t = self.t
        for key in net.p:
            v[key] = np.maximum(t(self.c["maximum_decay"]) * v[key], np.abs(u[key]))
            net.p[key] = net.p[key] - t(lr) * u[key] / (v[key] + t(STEP_EPS))

    def open(self, a, is_first):
        """(S, A) is known: what the actor learns from it, at once."""
        k, m = self.t(self.c["alpha"]), self.c["m"]
        if is_first:
            self.critic_e = {key: np.zeros_like(value) for key, value in self.critic_e.items()}
        q, tape = self.value(a)
        _, d_in = self.critic.backward(tape, [np.ones(1, self.t)])
        a["dq_da"] = d_in[-m:]
        a["actor_loss"] = k * a["logp"] - q
        # d/du of k log pi - Q with a = tanh(u), u = mu + s e; log pi holds -l/2 beside it
        du = self.t(2) * k * a["action"] - a["dq_da"] * (self.t(1) - a["action"] * a["action"])
        dl = du * a["e"] * a["s"] / self.t(2) - k / self.t(2)
        inside = (a["raw"] >= self.c["log_std_min"]) & (a["raw"] <= self.c["log_std_max"])
        g, _ = self.actor.backward(a["tape"], [du, np.where(inside, dl, self.t(0))])
        a["actor_gradient"] = g
        self.step(self.actor, self.actor_v, g, self.c["actor_lr"])
        return a

    def learn(self, a, r, terminated, truncated, b):
        """a: the open (S, A); b: S' and the action the target takes there."""
        t, c = self.t, self.c
        before_clear = self.take_reward(r, terminated or truncated)
        q, tape = self.value(a)
        g, _ = self.critic.backward(tape, [np.ones(1, t)])
        q_next, _ = self.value(b)
        target = t(r / self.s)
        if not terminated:
            target = target + t(c["gamma"]) * (q_next - t(c["alpha"]) * b["logp"])
        d = target - q
        e = self.critic_e
        for key in e:
            e[key] = t(c["gamma"] * c["trace_decay"]) * e[key] + g[key]
        loss_gradient = {key: -d * e[key] for key in e}
        self.step(self.critic, self.critic_v, loss_gradient, c["critic_lr"])
        return {"q": q, "q_next": q_next, "delta": d, "critic_loss": d * d, "next_action": b["action"],
                "next_logp": b["logp"], "r_stat": r, "G": before_clear, "sigma": self.s}, loss_gradient


def run(case, kind, orders):
    """Everything a golden file tells of one learner, as {name: array}."""
    c, data = case["config"], case["in"]
    learner = Learner(case, kind, orders)
    out = {}
    steps = c["steps"]
    per_step = {}
    resets = 0
    a = learner.open(learner.act(learner.observe(data["obs0"]), data["eps"][0]), True)
    for i in range(steps):
        terminated, truncated = bool(data["terminated"][i]), bool(data["truncated"][i])
        ended, is_last = terminated or truncated, i + 1 == steps
        x = learner.observe(data["next_obs"][i])
        # after an end, and after the last step of all, no action is executed: the target draws its own
        b = learner.act(x, data["eps_next"][i] if ended or is_last else data["eps"][i + 1])
        told, critic_gradient = learner.learn(a, data["reward"][i], terminated, truncated, b)
        for name in ("x", "mu", "log_std", "pre", "action", "logp", "entropy", "actor_loss", "dq_da"):
            told[name] = a[name]
        for name, value in told.items():
            per_step.setdefault("out/" + name, []).append(np.atleast_1d(np.asarray(value, float)))
        if i == 0:
            for prefix, g in (("actor", a["actor_gradient"]), ("critic", critic_gradient)):
                for key, value in g.items():
                    out[f"grad1/{prefix}/{key}"] = value
        if i + 1 in c["checkpoints"]:
            for prefix, net in (("actor", learner.actor), ("critic", learner.critic)):
                for key, value in net.p.items():
                    out[f"ckpt/{i + 1}/{prefix}/{key}"] = value.copy()
        if ended:
            x = learner.observe(data["reset_obs"][resets])
            resets += 1
            if not is_last:
                a = learner.open(learner.act(x, data["eps"][i + 1]), True)
        elif not is_last:
            a = learner.open(b, False)
    for name, rows in per_step.items():
        out[name] = np.stack(rows)
    groups = [("actor", learner.actor.p), ("critic", learner.critic.p), ("actor_v", learner.actor_v),
              ("critic_v", learner.critic_v)]
    if c["trace_decay"] > 0:
        groups.append(("critic_e", learner.critic_e))
    for prefix, p in groups:
        for key, value in p.items():
            out[f"final/{prefix}/{key}"] = value
    out["final/G"] = np.array([learner.ret])
    scale = np.zeros((4, 3))
    scale[2] = learner.ret_count, learner.ret_mean, learner.ret_sum
    out["final/scale"] = scale
    if c["obs_norm"]:
        out["final/norm_mean"], out["final/norm_var"] = learner.mean, learner.var
        out["final/norm_count"] = np.array([learner.count])
    return {name: np.asarray(value, float) for name, value in out.items()}


# ---- Cases

def orthogonal(rng, rows, columns, gain):
    a = rng.normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(a)
    q = q * np.sign(np.diag(r))
    return gain * (q if rows >= columns else q.T)


def make_case(name, attempt, n, m, hidden, steps, ends="mixed", reward=1.0, jump=1.0, head_gain=0.05, **more):
    config = {"name": name, "algo": "rac", "n": n, "m": m, "hidden": hidden, "steps": steps,
              "checkpoints": sorted({1, steps // 2, steps}), "gamma": 0.99, "alpha": 0.005, "actor_lr": 3e-4,
              "critic_lr": 6e-4, "trace_decay": 0.8, "maximum_decay": 0.99995, "obs_norm": True,
              "leaky_slope": 0.01, "log_std_min": -20.0, "log_std_max": 2.0, "attempt": attempt}
    config.update(more)
    if hidden * hidden > SMALL:
        config["checkpoints"] = []
    seed = int.from_bytes(hashlib.sha256(f"{name} {attempt}".encode()).digest()[:4], "little")
    rng = np.random.default_rng(seed)
    bias = lambda size: 0.1 * rng.normal(size=size)
    actor = {"w1": orthogonal(rng, hidden, n, 1), "b1": bias(hidden), "w2": orthogonal(rng, hidden, hidden, 1),
             "b2": bias(hidden), "w_mu": orthogonal(rng, m, hidden, head_gain), "b_mu": head_gain * bias(m),
             "w_l": orthogonal(rng, m, hidden, head_gain), "b_l": head_gain * bias(m)}
    critic = {"w1": orthogonal(rng, hidden, n + m, 1), "b1": bias(hidden),
              "w2": orthogonal(rng, hidden, hidden, 1), "b2": bias(hidden),
              "w_o": orthogonal(rng, 1, hidden, head_gain), "b_o": head_gain * bias(1)}
    single = lambda p: {k: v.astype(np.float32).astype(float) for k, v in p.items()}
    terminated, truncated = np.zeros(steps, np.uint8), np.zeros(steps, np.uint8)
    if ends == "mixed":
        chance = rng.uniform(size=steps)
        terminated[chance < 0.10] = 1
        truncated[(chance > 0.06) & (chance < 0.16)] = 1
    elif ends == "first":
        terminated[:2] = 1
        truncated[2] = 1
    elif ends == "consecutive":
        terminated[3:6], truncated[6:9] = 1, 1
        terminated[-1] = 1
    elif ends == "truncated":
        truncated[4::5] = 1
    rewards = reward * rng.normal(size=steps)
    rewards[steps // 2:] *= jump
    floats = lambda *size: rng.normal(size=size).astype(np.float32).astype(float)
    data = {"obs0": 2 * rng.normal(size=n), "next_obs": 2 * rng.normal(size=(steps, n)), "reward": rewards,
            "terminated": terminated, "truncated": truncated, "eps": floats(steps, m),
            "eps_next": floats(steps, m)}
    count = int(np.sum((terminated | truncated) != 0))
    if count:
        data["reset_obs"] = 2 * rng.normal(size=(count, n))
    return {"config": config, "actor": single(actor), "critic": single(critic), "in": data}


CASES = [
    ("rac_trace", dict(n=4, m=1, hidden=16, steps=100)),
    ("rac_no_trace", dict(n=5, m=2, hidden=16, steps=100, trace_decay=0.0)),
    ("rac_raw_observations", dict(n=3, m=2, hidden=20, steps=60, obs_norm=False, trace_decay=0.4)),
    ("rac_hopper_h256", dict(n=11, m=3, hidden=256, steps=16)),
    ("rac_wide_h100", dict(n=40, m=11, hidden=100, steps=24)),
    ("rac_edge_h4_consecutive_ends", dict(n=3, m=1, hidden=4, steps=24, ends="consecutive")),
    ("rac_first_step_terminal", dict(n=6, m=2, hidden=12, steps=12, ends="first")),
    ("rac_truncations", dict(n=6, m=2, hidden=16, steps=60, ends="truncated")),
    ("rac_no_end", dict(n=6, m=2, hidden=16, steps=60, ends="none")),
    ("rac_clamp_both_ends", dict(n=8, m=6, hidden=16, steps=60, head_gain=1.0, log_std_min=-0.4, log_std_max=0.4)),
    ("rac_reward_1e3", dict(n=4, m=2, hidden=16, steps=60, reward=1e3)),
    ("rac_reward_1e-4", dict(n=4, m=2, hidden=16, steps=60, reward=1e-4)),  # the scale stands at its floor
    ("rac_reward_jumps", dict(n=4, m=2, hidden=16, steps=80, jump=1e3)),
    ("rac_fast_decay", dict(n=4, m=2, hidden=16, steps=80, maximum_decay=0.5)),
]


def is_kept(name, array, hidden, n):
    """Large gradients, and the second layer's maxima of a large net, are left out."""
    is_large = hidden * hidden > SMALL
    if name.startswith("grad1/"):
        return not (is_large or hidden * n > SMALL)
    parts = name.split("/")
    return not (is_large and parts[0] == "final" and parts[-1] == "w2" and parts[1][-2:] in ("_v", "_e"))


def golden(name, settings):
    """(tensors, config): the first attempt whose float32 runs stay close."""
    for attempt in range(200):
        case = make_case(name, attempt, **settings)
        c = case["config"]
        sizes = {c["n"], c["n"] + c["m"], c["hidden"]}
        rng = np.random.default_rng(1)
        plain = {size: np.arange(size) for size in sizes}
        orders = [plain, {size: np.arange(size)[::-1] for size in sizes},
                  {size: rng.permutation(size) for size in sizes}]
        truth = run(case, np.float64, plain)
        rough = [run(case, np.float32, order) for order in orders]
        tensors, worst = {}, 0.0
        for key, value in truth.items():
            if not is_kept(key, value, c["hidden"], c["n"]):
                continue
            axes = tuple(range(1, value.ndim)) if key.startswith("out/") else None
            off = np.max([np.max(np.abs(r[key] - value), axis=axes) for r in rough], axis=0)
            largest = np.max(np.abs(value))
            if key.startswith("out/"):
                off = np.maximum.accumulate(off)
            allowed = np.atleast_1d(MARGIN * off + FLOOR * largest + 1e-12)
            worst = max(worst, float(np.max(allowed / (0.01 * largest + 1e-9))))
            tensors[key], tensors["tol/" + key] = value, allowed
        if worst <= 0.5:
            c["f32_drift"] = float(f"{worst:.3g}")
            return case, tensors
    raise SystemExit(f"{name}: no attempt stays close in float32")


def write(path, case, tensors):
    c = case["config"]
    is_large = c["hidden"] ** 2 > SMALL
    items = {}
    for key, value in case["in"].items():
        items["in/" + key] = value
    for prefix in ("actor", "critic"):
        for key, value in case[prefix].items():
            items[f"init/{prefix}/{key}"] = value.astype(np.float32)
    for key, value in tensors.items():
        single = is_large and key.startswith("final/") and value.size > SMALL
        items[key] = value.astype(np.float32) if single else value
    types = {"float64": "F64", "float32": "F32", "uint8": "U8"}
    header = {"__metadata__": {"format": "avg-golden-1", "config": json.dumps(c)}}
    blob = b""
    for key in sorted(items):
        array = np.ascontiguousarray(items[key])
        header[key] = {"dtype": types[array.dtype.name], "shape": list(array.shape),
                       "data_offsets": [len(blob), len(blob) + array.nbytes]}
        blob += array.tobytes()
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + blob)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, settings in CASES:
        case, tensors = golden(name, settings)
        write(folder / f"{name}.safetensors", case, tensors)
        c = case["config"]
        print(f"{name}: attempt {c['attempt']}, float32 {c['f32_drift']} of what may be allowed")


if __name__ == "__main__":
    main()
