"""Serve a small game about binary numbers and gates that adapts to its player.

    python -m fer_lightning.game                                  if the player agrees, the robot Bit uses the camera
    python -m fer_lightning.game model=null                       use answers and typed words; the camera is not used
    python -m fer_lightning.game policy=fixed difficulty.start=4  the level never changes

The command starts the live server and opens the game.
"""

from fer_lightning.live.__main__ import main

if __name__ == "__main__":
    main(program="game", page="game", help_text=__doc__)
