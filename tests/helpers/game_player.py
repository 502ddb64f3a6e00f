"""Somebody who plays the game in a browser."""

import json
import re

ASK = """async ([task, what]) => (await import("/game/tasks.js"))[what](task)"""
CHECK = """async ([task, answer]) => (await import("/game/tasks.js")).check(task, answer)"""


class Player:
    """Player that reads the task from the page and uses only the keyboard; `address` is the address of the game."""

    def __init__(self, page, address):
        self.page = page
        page.goto(address)
        self.page.wait_for_selector("#bench[data-task]")
        self._expect(self.page.locator("#track .here")).to_have_count(1)

    @property
    def _expect(self):
        from playwright.sync_api import expect

        return expect

    @property
    def task(self):
        return json.loads(self.page.get_attribute("#bench", "data-task"))

    @property
    def level(self):
        return int(self.page.locator("#level-name strong").inner_text().split()[1])

    def ask(self, what):
        return self.page.evaluate(ASK, [self.task, what])

    def answer(self, answer):
        form = self.ask("form")
        if form == "choice":
            choices = self.ask("choices")
            self.page.keyboard.press(answer if answer in "01" else str(choices.index(answer) + 1))
        elif form == "bits":
            self.page.keyboard.press("Home")
            self.page.keyboard.type(answer)
            self.page.keyboard.press("Enter")
        else:
            self.page.keyboard.press("Control+a")
            self.page.keyboard.type(answer)
            self.page.keyboard.press("Enter")

    def solve(self):
        self.answer(self.ask("solve"))
        self._expect(self.page.locator("#bench")).to_have_class(re.compile("right"))

    def miss(self):
        """A wrong answer; -> what Bit says to it."""
        right = self.ask("solve")
        match self.ask("form"):
            case "choice":
                wrong = next(choice for choice in self.ask("choices") if choice != right)
            case "number":
                wrong = str(int(right) + 1)
            case "hex":
                wrong = "1" * len(right)
            case "bits":
                flipped = [right[:place] + "01"[bit == "0"] + right[place + 1 :] for place, bit in enumerate(right)]
                wrong = next(bits for bits in flipped if not self.page.evaluate(CHECK, [self.task, bits]))
        self.answer(wrong)
        self._expect(self.page.locator("#bench")).to_have_class(re.compile("wrong"))
        return self.said()

    def next(self):
        self.page.keyboard.press("Enter")
        self._expect(self.page.locator("#go")).not_to_have_text("Next")

    def to_the_task(self):
        """Answer by keyboard, wherever the focus is."""
        self.page.locator("#words").focus()
        self.page.keyboard.press("Escape")

    def say(self, words):
        self.page.keyboard.press("/")
        self._expect(self.page.locator("#words")).to_be_focused()
        self.page.keyboard.type(words)
        self.page.keyboard.press("Enter")
        self.page.keyboard.press("Escape")

    def said(self):
        return self.page.locator("#log .from-bit").last.inner_text()

    def hears(self, words):
        self._expect(self.page.locator("#log .from-bit").filter(has_text=re.compile(words)).last).to_be_visible()
