"""Play a small game with binary numbers in a terminal: a second client of the live protocol, in Python.

    python scripts/game_client.py "http://127.0.0.1:8767/?token=..."          use the address that the server prints
    python scripts/game_client.py ADDRESS --bot 20                            let a bot play 20 tasks

Type the number, or one of: easier, harder, stay, decide, help, quit. The server reads any other text. The camera is not
used.
"""

import argparse
import random
import sys
import time

from fer_lightning.errors import UserError
from fer_lightning.live import protocol
from fer_lightning.live.client import GameClient

WORDS = {"easier": -1, "stay": 0, "harder": 1, "decide": None}
HELP = (
    "Type the number in decimal, or: easier (one level down), harder (one level up), stay (at this level), decide (the "
    "server chooses the level), quit.\n"
    "The server reads any other text that you type, to estimate how you feel about the level."
)
ANSWER_SECONDS = 1.5  # the server sends a state every second
CONNECT_SECONDS = 3.0  # more than two attempts to connect again


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="address that the server printed, with its token")
    parser.add_argument("--bot", type=int, metavar="TASKS", help="let a bot play this number of tasks")
    parser.add_argument("--skill", type=float, default=5.0, help="level at which the bot solves half of the tasks")
    parser.add_argument("--seed", type=int, help="seed of the tasks")
    given = parser.parse_args(arguments)
    random_ = random.Random(given.seed)
    try:
        with GameClient(given.address, name="game_client.py 1", level=None) as client:
            play(client, random_, tasks=given.bot, skill=given.skill)
    except UserError as error:
        print(f"game_client: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, EOFError):
        print("\nGoodbye.")


def play(client: GameClient, random_: random.Random, *, tasks: int | None, skill: float) -> None:
    solved = played = 0
    while tasks is None or played < tasks:
        listen(client)
        level = client.level
        number = random_.randrange(1, 2 ** (2 + level))
        print(f"\nLevel {level}.  Which number is {number:0{2 + level}b}?")
        begun = time.monotonic()
        answer = asked(client) if tasks is None else bot_answer(random_, number, skill - level)
        if answer is None:
            break
        played, correct = played + 1, answer == number
        solved += correct
        print("Yes, that is right." if correct else f"No, it is {number}: {as_sum(number)}.")
        report(client, correct=correct, seconds=time.monotonic() - begun, level=level)
    listen(client)
    print(f"\n{solved} of {played} solved; level {client.level}.")


def report(client: GameClient, *, correct: bool, seconds: float, level: int) -> None:
    """Send the outcome of a task. If the connection was lost meanwhile, connect again first."""
    while not client.outcome(correct=correct, seconds=seconds, level=level):
        message = client.receive(timeout=CONNECT_SECONDS)
        if message is None:
            print("* The server does not count this task, because it is unreachable.")
            return
        if not isinstance(message, bytes):
            say(message)


def asked(client: GameClient) -> int | None:
    """Return the player's number, or None if they quit. Send any other text to the server."""
    while True:
        typed = input("> ").strip()
        if typed.isdecimal():
            return int(typed)
        if typed == "quit":
            return None
        if typed == "help":
            print(HELP)
        elif typed in WORDS:
            client.override(WORDS[typed])
        elif typed:
            listen(client)  # earlier messages are not an answer
            print(f"(the server: {answer_to(client, typed)})")
        listen(client)


def answer_to(client: GameClient, words: str) -> str:
    """Send a text of the player, and return the next state as text."""
    if not client.text(words):
        return "not reachable; trying again"
    until = time.monotonic() + ANSWER_SECONDS
    while (left := until - time.monotonic()) > 0:
        message = client.receive(timeout=left)
        if message is not None and not isinstance(message, bytes):
            if message.type == "state":
                sure = "" if message.state == "unknown" else f" {message.confidence:.0%}".replace("%", " %")
                return "; ".join([message.state + sure, *message.reasons])
            say(message)
    return "no answer"


def bot_answer(random_: random.Random, number: int, ahead: float) -> int:
    """Return the bot's answer after a short time. It is right more often if the bot's skill is above the level."""
    time.sleep(random_.uniform(0.05, 0.15))
    return number if random_.random() < 1 / (1 + 2.0**-ahead) else number + 1


def as_sum(number: int) -> str:
    """Return a number as a sum of powers of two: "8 + 2"."""
    return " + ".join(str(2**bit) for bit in reversed(range(number.bit_length())) if number >> bit & 1)


def listen(client: GameClient) -> None:
    """Print the messages of the server since the last call."""
    while message := client.receive(timeout=0.05):
        if not isinstance(message, bytes):
            say(message)


def say(message: protocol.FromServer) -> None:
    if message.type == "difficulty":
        print(f"* {message.reason} (level {message.level})")
    elif message.type == "notice":
        print(f"* {message.message}")


if __name__ == "__main__":
    main()
