"""Muon, an optimiser that orthogonalises the updates of convolutions (Jordan et al. 2024)."""

from collections.abc import Callable, Iterable

import torch
from timm.optim.muon import zeropower_via_newtonschulz
from torch import Tensor, nn
from torch.optim import Optimizer

from fer_lightning.errors import UserError

COEFFICIENTS = [(3.4445, -4.7750, 2.0315)]  # Jordan's quintic: singular values end between 0.7 and 1.2
GRAM_STEPS = 3  # iterations for which float32 keeps the precision of the usual form


class Muon(Optimizer):
    """Orthogonalised momentum for convolutions, SGD with Nesterov momentum for all other parameters.

    The update of a convolution (out, in, h, w), read as a matrix (out, in h w), is replaced by the nearest matrix whose
    singular values are about 1 (https://kellerjordan.github.io/posts/muon/). Before each update, the weight is rescaled
    to the Frobenius norm sqrt(out), as in airbench (https://github.com/KellerJordan/cifar10-airbench). So `lr` is
    relative to the weight, and a normalisation must follow each convolution. SGD updates depthwise convolutions and
    linear layers.

    timm's class of this name always orthogonalises in bfloat16, which is slower than float32 on CPUs without bfloat16
    units, and it uses AdamW for other parameters. On a GPU, its Newton-Schulz iteration is used here too.

    lr             step size of convolutions, relative to their norm
    momentum       share of the last update that is kept
    steps          Newton-Schulz iterations
    rest_lr        learning rate of all other parameters
    rest_momentum  Nesterov momentum of all other parameters
    weight_decay   L2 penalty of all other parameters, added to the gradient

    Raise UserError if the network lacks a convolution over several channels, or if a momentum is below 0, or 1 or more.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.12,
        momentum: float = 0.6,
        steps: int = 3,
        rest_lr: float = 0.05,
        rest_momentum: float = 0.85,
        weight_decay: float = 5e-4,
    ) -> None:
        for key, share, usual in (("momentum", momentum, 0.6), ("rest_momentum", rest_momentum, 0.85)):
            if not 0 <= share < 1:
                raise UserError(f"optim.{key}={share}: must be at least 0 and less than 1. Use optim.{key}={usual}.")
        params = list(params)
        convolutions = [p for p in params if p.ndim == 4 and p.shape[1] > 1]
        rest = [p for p in params if not (p.ndim == 4 and p.shape[1] > 1)]
        if not convolutions:
            raise UserError(
                "optim=muon: the network has no convolution over several channels, which Muon needs. Use optim=adamw."
            )
        groups = [{"params": convolutions, "lr": lr, "momentum": momentum, "weight_decay": 0.0, "steps": steps}]
        if rest:
            groups.append({"params": rest, "lr": rest_lr, "momentum": rest_momentum, "steps": 0})
        super().__init__(groups, {"weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update all parameters that have a gradient; return the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = _orthogonal_step if group["steps"] else _sgd_step
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update(parameter, self._look_ahead(parameter, group), group)
        return loss

    def _look_ahead(self, parameter: nn.Parameter, group: dict) -> Tensor:
        """Add the gradient to the momentum and return the Nesterov update."""
        gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        velocity = state["momentum"].mul_(group["momentum"]).add_(gradient)
        return gradient.add_(velocity, alpha=group["momentum"])


def _sgd_step(parameter: Tensor, update: Tensor, group: dict) -> None:
    parameter.sub_(update, alpha=group["lr"])


def _orthogonal_step(parameter: Tensor, update: Tensor, group: dict) -> None:
    parameter.mul_(len(parameter) ** 0.5 / parameter.norm().clamp(min=1e-7))
    parameter.sub_(orthogonalised(update, group["steps"]), alpha=group["lr"])


def orthogonalised(update: Tensor, steps: int) -> Tensor:
    """Return the update (out, in, h, w) with the singular values of its matrix (out, in h w) moved towards 1.

    A GPU runs timm's iteration in bfloat16. A CPU computes the same polynomial in float32 with fewer products.
    """
    matrix = update.flatten(1)
    if update.is_cuda:
        matrix = zeropower_via_newtonschulz(matrix, steps, COEFFICIENTS, dtype=torch.bfloat16)
    else:
        matrix = newton_schulz_by_gram(matrix.float(), steps)
    return matrix.to(update.dtype).view(update.shape)


def newton_schulz_by_gram(matrix: Tensor, steps: int) -> Tensor:
    """Return what timm's zeropower_via_newtonschulz returns for the matrix (m, n), up to rounding.

    The Gram matrix is computed again after each GRAM_STEPS iterations, so that rounding errors do not add up.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return newton_schulz_by_gram(matrix.mT, steps).mT
    matrix = matrix / matrix.norm().clamp(min=1e-7)
    for done in range(0, steps, GRAM_STEPS):
        matrix = _polynomial_of_gram(matrix @ matrix.mT, min(GRAM_STEPS, steps - done)) @ matrix
    return matrix


def _polynomial_of_gram(gram: Tensor, steps: int) -> Tensor:
    """Return the matrix (m, m) by which `steps` iterations multiply X (m, n) from the left; gram is X X^T.

    One iteration multiplies X by Q = a + b G + c G^2. All Q and G commute, so the next Gram matrix is Q G Q, and X
    itself is not needed. The X of a convolution is several times wider than high, so products with X are the expensive
    ones.
    """
    a, b, c = COEFFICIENTS[0]
    total = None
    for step in range(steps):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        total = factor if total is None else factor @ total
        if step < steps - 1:
            gram = factor @ gram @ factor
    return total
