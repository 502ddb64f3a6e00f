"""Train one network: compose, check, seed, build, fit, test, summarise.

    python train.py                                     ResEmoteNet on FER2013
    python train.py model=emonext loss=weighted         another network, another loss
    python train.py experiment=quickstart               synthetic faces: no data set needed
    python train.py --help                              all groups and their options

The code is in fer_lightning/cli/train.py. `fer-lightning train` is the same command in any folder.
"""

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the libraries load ends the process without a traceback
    from fer_lightning.cli.train import main

    main()
