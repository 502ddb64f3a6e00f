"""Where Hydra looks for launchers, and nowhere else. They are written in fer_lightning/launch/."""

from fer_lightning.launch import discovery, local


class LocalLauncher(local.LocalLauncher):
    pass


class DiscoveryLauncher(discovery.DiscoveryLauncher):
    pass
