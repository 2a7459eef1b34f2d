"""The looped model in PyTorch: the second opinion that our engines are held against, and the peer they are timed against.

Parameter names are those of the published checkpoints, so `load_state_dict` takes them, and ours, as they are.
Shapes: B prompts of n points, x of width d, T = 2n tokens, width D.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Transformer(nn.Module):
    """GPT-2's block: x + attn(LN(x)), then x + mlp(LN(x))."""

    def __init__(self, width, n_head, tokens, attention="explicit"):
        super().__init__()
        self.n_head, self.attention = n_head, attention
        self.ln_1 = nn.LayerNorm(width, eps=1e-5)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(width, 3 * width), "c_proj": nn.Linear(width, width)})
        self.ln_2 = nn.LayerNorm(width, eps=1e-5)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})
        # Added to the scores: a query (row) looks at no later key. Not persistent: it is no parameter, and stays out of
        # checkpoints.
        self.register_buffer("mask", torch.full((tokens, tokens), -math.inf).triu(1), persistent=False)

    def forward(self, x, before=None):
        """The block over `x` (B, T, D), and what later tokens need of it; `before` is that of the tokens before x."""
        mixed, memory = self.attend(self.ln_1(x), before)
        x = x + self.attn.c_proj(mixed)
        return x + self.mlp.c_proj(F.gelu(self.mlp.c_fc(self.ln_2(x)), approximate="tanh")), memory

    def attend(self, x, before):
        q, k, v = (part.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for part in self.attn.c_attn(x).chunk(3, -1))
        if before is not None:
            k, v = torch.cat((before[0], k), 2), torch.cat((before[1], v), 2)
        queries, keys = q.shape[2], k.shape[2]
        mask = self.mask[keys - queries : keys, :keys]
        if self.attention == "sdpa":
            how = {"is_causal": True} if queries == keys else {"attn_mask": mask}
            mixed = F.scaled_dot_product_attention(q, k, v, **how)
        else:
            # Scaling q and adding the mask is a fifth faster than scaling and filling the scores.
            scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)
            mixed = (scores + mask).softmax(-1) @ v
        return mixed.transpose(1, 2).flatten(-2), (k, v)


class Lstm(nn.LSTM):
    """An LSTM layer over the tokens. Being one, its parameters stand directly below the block's name."""

    def __init__(self, width):
        super().__init__(width, width, batch_first=True)

    def forward(self, x, before=None):
        return super().forward(x, before)


class StateSpace(nn.Module):
    """A diagonal state space over the tokens, and the projection of its output: S4D-Real, by zero-order hold.

    Channel d has `n_state` states h_n with h_n' = -r h_n + b x, where r = (n + 1) exp(log_a); a token is a step of length
    0.01 exp(log_dt).
    """

    def __init__(self, width, n_state):
        super().__init__()
        self.log_dt = nn.Parameter(torch.empty(width).uniform_(-math.log(10), math.log(10)))
        self.log_a = nn.Parameter(torch.zeros(n_state, width))
        self.b = nn.Parameter(torch.ones(n_state, width))
        self.c = nn.Parameter(torch.randn(n_state, width))
        self.d = nn.Parameter(torch.ones(width))
        self.c_proj = nn.Linear(width, width)

    def forward(self, x, state=None):
        """The output over `x` (B, T, D), and the states (B, n_state, D) after it; `state` are those before."""
        rate = torch.arange(1, len(self.b) + 1).to(x).unsqueeze(1) * self.log_a.exp()
        lost = 0.01 * self.log_dt.exp() * rate
        decay, gain = (-lost).exp(), -torch.expm1(-lost) / rate * self.b
        if state is None:
            state = x.new_zeros(x.shape[0], *self.b.shape)
        outputs = []
        for token in x.unbind(1):
            state = decay * state + gain * token.unsqueeze(1)
            outputs.append((self.c * state).sum(1) + self.d * token)
        return self.c_proj(torch.stack(outputs, 1)), state


class Ssm(nn.Module):
    """The transformer's block with a state space in attention's place: x + ssm(LN(x)), then x + mlp(LN(x))."""

    def __init__(self, width, n_state):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-5)
        self.ssm = StateSpace(width, n_state)
        self.ln_2 = nn.LayerNorm(width, eps=1e-5)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x, before=None):
        mixed, memory = self.ssm(self.ln_1(x), before)
        x = x + mixed
        return x + self.mlp.c_proj(F.gelu(self.mlp.c_fc(self.ln_2(x)), approximate="tanh")), memory


class Sequential(nn.ModuleList):
    """Several blocks as one."""

    def forward(self, x, before=None):
        memories = []
        for j, block in enumerate(self):
            x, memory = block(x, None if before is None else before[j])
            memories.append(memory)
        return x, memories


def build_block(config, width, tokens, attention):
    match config["type"]:
        case "transformer":
            return Transformer(width, config["n_head"], tokens, attention)
        case "lstm":
            return Lstm(width)
        case "ssm":
            return Ssm(width, config.get("n_state", 8))
        case "sequential":
            return Sequential(build_block(inner, width, tokens, attention) for inner in config["blocks"])
        case other:
            raise ValueError(f"no block of type {other!r} here; known: transformer, lstm, ssm, sequential")


class Backbone(nn.Module):
    """One loop after injection: positions, the blocks, the final norm."""

    def __init__(self, config, attention):
        super().__init__()
        width, tokens = config["n_embd"], 2 * config["n_positions"]
        blocks = (build_block(config["block"], width, tokens, attention) for _ in range(config["n_layer"]))
        self.transformer = nn.ModuleDict(
            {
                "wpe": nn.Embedding(tokens + 1, width),
                "h": Sequential(blocks),
                "ln_f": nn.LayerNorm(width, eps=1e-5),
            }
        )
        for name, parameter in self.transformer.named_parameters():
            if "_l0" in name or (".ssm." in name and ".c_proj." not in name):  # an LSTM's or a state space's, already drawn
                continue
            if name.endswith("c_proj.weight"):
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * config["n_layer"]))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif ".ln_" not in f".{name}":
                nn.init.normal_(parameter, std=0.02)

    def forward(self, x, first=0, before=None, remember=False):
        """x (B, T, D) are the tokens from `first` on, after those of memory `before`."""
        x = x + self.transformer.wpe.weight[first : first + x.shape[1]]
        x, memory = self.transformer.h(x, before)
        x = self.transformer.ln_f(x)
        return (x, memory) if remember else x


class LoopedModel(nn.Module):
    """`config` is the [model] table of an experiment."""

    def __init__(self, config, attention="explicit"):
        super().__init__()
        self.injector = config["injector"]
        self._read_in = nn.Linear(config["n_dims"], config["n_embd"])
        self._backbone = Backbone(config, attention)
        self._read_out = nn.Linear(config["n_embd"], 1)

    def forward(self, xs, ys, loops, window=None, prefix_once=False):
        """The predictions of every loop (loops, B, n) for xs (B, n, d) and ys (B, n).

        The last `window` loops (None: all) carry gradient. `prefix_once` computes the tokens that `last_n` gives the
        same input in every loop once instead of every time: the same result, by causality.
        """
        ys = F.pad(ys.unsqueeze(-1), (0, xs.shape[-1] - 1))
        embedded = self._read_in(torch.stack((xs, ys), 2).flatten(1, 2))
        first, before, known = 0, None, None
        if prefix_once and (first := self.kept_from(embedded.shape[1])):
            prefix, before = self._backbone(embedded[:, :first], remember=True)
            known, embedded = self.read_out(prefix, 0), embedded[:, first:]
        state = self.initial(embedded)
        predictions = []
        for index in range(loops):
            carries = torch.is_grad_enabled() and (window is None or index >= loops - window)
            # What comes out without a graph is a constant to the loops that follow: the state is cut at the window.
            with torch.set_grad_enabled(carries):
                if embedded.shape[1]:
                    state = self._backbone(self.inject(state, embedded, first), first, before)
                rest = self.read_out(state, first)
                predictions.append(rest if known is None else torch.cat((known, rest), 1))
        return torch.stack(predictions)

    def read_out(self, state, first):
        """Predictions at the x tokens, the even ones, of a state whose first token has number `first`."""
        return self._read_out(state[:, first % 2 :: 2]).squeeze(-1)

    def kept_from(self, tokens):
        """The first token that keeps its state from loop to loop."""
        n = self.injector.get("n", -1) if self.injector["type"] == "last_n" else -1
        return 0 if n < 0 else max(0, tokens - n)

    def neutral(self):
        """The state that leaves the input as it is."""
        return 1.0 if self.injector.get("operation", "add") == "multiply" else 0.0

    def initial(self, embedded):
        return embedded if self.injector["type"] == "none" else torch.full_like(embedded, self.neutral())

    def inject(self, state, embedded, first=0):
        if self.injector["type"] == "none":
            return state
        dropped = self.kept_from(first + embedded.shape[1]) - first
        if dropped > 0:
            state = F.pad(state[:, dropped:], (0, 0, dropped, 0), value=self.neutral())
        return state * embedded if self.neutral() else state + embedded


def loss(predictions, ys, n_loss_loops, objective="squared_error"):
    """The mean over the last `n_loss_loops` loops, prompts and points."""
    predictions = predictions[-n_loss_loops:]
    if objective == "cross_entropy":  # of a logit, with ys of -1 and 1
        return F.softplus(-ys * predictions).mean()
    return (predictions - ys).square().mean()
