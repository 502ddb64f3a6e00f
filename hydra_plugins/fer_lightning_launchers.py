"""Launchers for Hydra, which finds them only in this package. The code is in fer_lightning/launch/."""

from fer_lightning.launch import discovery, local


class LocalLauncher(local.LocalLauncher):
    pass


class DiscoveryLauncher(discovery.DiscoveryLauncher):
    pass
