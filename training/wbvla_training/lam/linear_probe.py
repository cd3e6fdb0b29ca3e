"""Linear probes: what can be read off a representation by weights and a bias alone."""

from __future__ import annotations

import torch
import torch.nn.functional as functional

_ITERATIONS = 60


def one_hot(codes: torch.Tensor, count: int) -> torch.Tensor:
    """Codes [N, tokens] as float32 [N, tokens * count]."""
    return functional.one_hot(codes, count).float().flatten(1)


def classify(
    train_x: torch.Tensor,
    train_y: torch.Tensor,
    test_x: torch.Tensor,
    classes: int,
    weight_decay: float = 1e-4,
) -> torch.Tensor:
    """Predicted classes int64 [M] of ``test_x`` by multinomial logistic regression fitted to ``train_x`` [N, F] and
    ``train_y`` int64 [N]. Inputs are standardised by the training rows."""
    mean, std = train_x.mean(0), train_x.std(0).clamp(min=1e-3)
    inputs = ((train_x - mean) / std).double()
    weights = torch.zeros(inputs.shape[1], classes, dtype=torch.double, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = (
            functional.cross_entropy(inputs @ weights + bias, train_y) + weight_decay * weights.square().sum()
        )
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        return (((test_x - mean) / std).double() @ weights + bias).argmax(1)


def regress(
    train_x: torch.Tensor, train_y: torch.Tensor, test_x: torch.Tensor, ridge: float = 1.0
) -> torch.Tensor:
    """Predictions [M, A] of ``test_x`` by ridge regression fitted to ``train_x`` [N, F], ``train_y`` [N, A]."""
    mean_x, mean_y = train_x.mean(0), train_y.mean(0)
    std = train_x.std(0).clamp(min=1e-3)
    inputs = ((train_x - mean_x) / std).double()
    square = inputs.T @ inputs + ridge * torch.eye(inputs.shape[1], dtype=torch.double)
    weights = torch.linalg.solve(square, inputs.T @ (train_y - mean_y).double())
    return (((test_x - mean_x) / std).double() @ weights + mean_y).float()


def explained(test_y: torch.Tensor, predicted: torch.Tensor, train_y: torch.Tensor) -> float:
    """R^2 over all columns that vary, each scaled to deviation 1, against the training mean."""
    std = train_y.std(0)
    moving = std > 1e-4
    if not bool(moving.any()):
        return 0.0
    error = ((test_y - predicted)[:, moving] / std[moving]).square().mean()
    baseline = ((test_y - train_y.mean(0))[:, moving] / std[moving]).square().mean()
    return float(1.0 - error / baseline)
