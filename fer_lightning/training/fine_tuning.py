"""Training of a network of which some weights come from another run."""

from collections.abc import Collection

from torch.optim import Optimizer

from fer_lightning.models.network import Network


class FineTuning:
    """Training of a network of which some weights come from another run.

    network        network that is trained
    new            keys of its state dict that do not come from the other run, or only in part
    freeze_epochs  first epochs in which the other weights, and the statistics of their normalisations, do not change
    lr_factor      factor on the learning rate of the other weights
    """

    def __init__(self, network: Network, new: Collection[str], freeze_epochs: int = 0, lr_factor: float = 1.0) -> None:
        self.freeze_epochs, self.lr_factor = freeze_epochs, lr_factor
        self.taken = [parameter for key, parameter in network.named_parameters() if key not in new]
        self.norms = [
            module
            for name, module in network.named_modules()
            if hasattr(module, "running_mean") and not any(key.startswith(f"{name}.") for key in new)
        ]

    def split_groups(self, optimizer: Optimizer) -> None:
        """Give the weights that are taken a learning rate of their own."""
        taken = set(map(id, self.taken))
        for group in list(optimizer.param_groups):
            rate = group["base_lr"] * self.lr_factor
            old = [parameter for parameter in group["params"] if id(parameter) in taken]
            if len(old) == len(group["params"]):
                group["base_lr"] = rate
            elif old:
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in taken]
                optimizer.add_param_group({**group, "params": old, "base_lr": rate})

    def set_modes(self, epoch: int) -> None:
        """Let the normalisations of frozen weights keep their statistics, in training mode of the network."""
        if self.freeze_epochs:
            for norm in self.norms:
                norm.train(epoch >= self.freeze_epochs)

    def drop_gradients(self, epoch: int) -> None:
        """Remove the gradients of frozen weights, so that no optimiser changes them."""
        if epoch < self.freeze_epochs:
            for parameter in self.taken:
                parameter.grad = None
