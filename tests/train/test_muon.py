"""The optimizer of style networks."""

from __future__ import annotations

import copy

import torch
from torch import nn

from segnst.style.painter import Painter
from segnst.train.muon import is_kernel, optimizer, orthogonalized


def test_orthogonalized_keeps_directions_and_evens_out_their_size():
    torch.manual_seed(0)
    for shape in ((12, 40), (40, 12), (16, 16)):
        matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -1, shape[1]))
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        found = left.T @ orthogonalized(matrix) @ right.T
        values = found.diagonal()
        assert values.min() > 0.5 and values.max() < 1.4
        assert (found - torch.diag(values)).abs().max() < 0.02


def test_every_parameter_is_trained_once_at_its_own_rate():
    net, other = Painter(3, 8, identity=True), nn.Linear(2, 2)
    found = optimizer(net, 0.003, 0.5, other.parameters())
    rates = {id(p): (g["lr"], g["kernels"]) for g in found.param_groups for p in g["params"]}
    assert len(rates) == sum(len(g["params"]) for g in found.param_groups)
    for name, parameter in net.named_parameters():
        style = name.endswith(("gamma", "beta"))
        expected = (0.0015, False) if style else (0.003, True) if is_kernel(parameter) else (0.001, False)
        assert rates[id(parameter)] == expected, name
    assert rates[id(other.weight)] == (0.001, False)


def test_a_network_learns_and_goes_on_from_a_saved_state():
    def begun() -> tuple[nn.Sequential, torch.optim.Optimizer]:
        torch.manual_seed(1)
        net = nn.Sequential(nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 1))
        return net, optimizer(net, 0.01, 1.0)

    torch.manual_seed(2)
    x, y = torch.randn(4, 8, 12, 12), torch.randn(4, 8, 10, 10)

    def steps(net: nn.Module, found: torch.optim.Optimizer, count: int) -> float:
        for _ in range(count):
            found.zero_grad()
            loss = (net(x) - y).square().mean()
            loss.backward()
            found.step()
        return float(loss.detach())

    net, found = begun()
    first = steps(net, found, 1)
    steps(net, found, 20)
    weights, state = copy.deepcopy(net.state_dict()), copy.deepcopy(found.state_dict())
    whole = steps(net, found, 20)
    assert whole < 0.9 * first
    again, resumed = begun()
    again.load_state_dict(weights)
    resumed.load_state_dict(state)
    assert steps(again, resumed, 20) == whole
