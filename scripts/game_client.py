"""Binary numbers in a terminal: a second, small game over the live protocol, in Python.

    python scripts/game_client.py "http://127.0.0.1:8767/?token=..."          what the server prints
    python scripts/game_client.py ADDRESS --bot 20                            plays 20 tasks by itself

Type the number; or words, to which the server listens too; or: easier, harder, stay, decide, help, quit. No camera is
used.
"""

import argparse
import random
import sys
import time

from fer_lightning.errors import UserError
from fer_lightning.live import protocol
from fer_lightning.live.client import Client

WORDS = {"easier": -1, "stay": 0, "harder": 1, "decide": None}
HELP = (
    "Type the number in decimal, or: easier, harder (one level), stay (at this one), decide (the server does), quit.\n"
    "Whatever else you type the server reads, to learn how it goes for you."
)
ANSWER_SECONDS = 1.5  # the server speaks every second


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="that the server printed, with its token")
    parser.add_argument("--bot", type=int, metavar="TASKS", help="play so many tasks without asking")
    parser.add_argument("--skill", type=float, default=5.0, help="of the bot: the level at which it solves half")
    parser.add_argument("--seed", type=int, help="of the tasks")
    given = parser.parse_args(arguments)
    random_ = random.Random(given.seed)
    try:
        with Client(given.address, name="game_client.py 1", level=None) as client:
            play(client, random_, tasks=given.bot, skill=given.skill)
    except UserError as error:
        print(f"game_client: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, EOFError):
        print("\nSee you.")


def play(client: Client, random_: random.Random, *, tasks: int | None, skill: float) -> None:
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
        print("Yes." if correct else f"No, it is {number}: {sum_in_words(number)}.")
        client.outcome(correct=correct, seconds=time.monotonic() - begun, level=level)
    listen(client)
    print(f"\n{solved} of {played} solved; level {client.level}.")


def asked(client: Client) -> int | None:
    """The player's number; whatever else they type goes to the server. None: they stop."""
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
            listen(client)  # what was said before is no answer
            print(f"(the server: {answer_to(client, typed)})")
        listen(client)


def answer_to(client: Client, words: str) -> str:
    """What the server makes of the player's words, by the state that it tells next."""
    if not client.text(words):
        return "gone, it is tried again"
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
    """Right the more often, the further the bot's skill is ahead of the level; it takes a moment."""
    time.sleep(random_.uniform(0.05, 0.15))
    return number if random_.random() < 1 / (1 + 2.0**-ahead) else number + 1


def sum_in_words(number: int) -> str:
    return " + ".join(str(2**place) for place in reversed(range(number.bit_length())) if number >> place & 1)


def listen(client: Client) -> None:
    """Say what the server has said since."""
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
