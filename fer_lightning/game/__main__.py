"""A small game about binary numbers and gates that adapts to its player: the live server, opened at the game.

python -m fer_lightning.game                                  by answers and typed words; nobody is looked at
python -m fer_lightning.game model=face.onnx                  players may let Bit watch, who asks them first
python -m fer_lightning.game policy=fixed difficulty.start=4  every setting: conf/live/live.yaml
"""

from fer_lightning.live.__main__ import main

if __name__ == "__main__":
    main(program="game", page="game", about=__doc__)
