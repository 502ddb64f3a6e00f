import pytest

from fer_lightning.collect.http.robots import Robots, RobotsRules

# RFC 9309, 5.1 and 5.2
SIMPLE = """
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("other", "/page.html", True),
        ("other", "/a/picture.gif", False),
        ("other", "/a/picture.gif?size=1", True),
        ("other", "/example/page.html", False),
        ("other", "/publications/x.gif", True),
        ("foobot", "/example/page.html", True),
        ("FooBot", "/example/allowed.gif", True),
        ("foobot", "/example/disallowed.gif", False),
        ("barbot", "/example/page.html", False),
        ("bazbot", "/example/page.html", False),
        ("bazbot", "/picture.gif", True),
        ("quxbot", "/example/page.html", True),
    ],
)
def test_the_examples_of_the_rfc(agent, path, allowed):
    assert RobotsRules(SIMPLE, agent).allow(path) is allowed


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("Allow: /\nDisallow: /private", "/private/1.jpg", False),  # the longest decides, not the first
        ("Disallow: /photos\nAllow: /photos", "/photos/1.jpg", True),  # of equals the one that allows
        ("Disallow: /*.jpg$", "/a/b.jpg", False),
        ("Disallow: /*.jpg$", "/a/b.jpg.html", True),
        ("Disallow: /a*b*c", "/axxbyyc", False),
        ("Disallow: /a*b*c", "/acb", True),
        ("Disallow: /*aa$", "/aa", False),
        ("Disallow: /a*a$", "/a", True),  # both letters are asked for
        ("Disallow: /$", "/", False),
        ("Disallow: /$", "/a", True),
        ("Disallow: /caf%C3%A9", "/café", False),
        ("Disallow: /café", "/caf%c3%a9/1.jpg", False),
        ("Disallow: /%7Ejoe", "/~joe/1.jpg", False),
        ("Disallow:", "/a", True),
        ("Disallow: / # all of it", "/a", False),
        ("disallow : /a", "/a", False),
        ("Crawl-delay: 9\nDisallow: /a", "/a", False),
        ("no rule at all\x00\xff", "/a", True),
    ],
)
def test_one_rule(rules, path, allowed):
    assert RobotsRules(f"User-agent: *\n{rules}", "bot").allow(path) is allowed


def test_groups_of_one_name_are_one_and_versions_do_not_count():
    groups = ("User-agent: Bot/2.0\nDisallow: /a", "User-agent: *\nDisallow: /", "User-agent: bot\nDisallow: /b")
    rules = RobotsRules("\n\n".join(groups), "bot")
    assert [rules.allow(path) for path in ("/a", "/b", "/c")] == [False, False, True]


def test_a_byte_order_mark_is_not_part_of_the_first_line():
    assert not RobotsRules("\ufeffUser-agent: *\nDisallow: /\n", "foobot").allow("/a.jpg")


def test_rules_before_any_name_are_for_nobody():
    assert RobotsRules("Disallow: /\nUser-agent: other\nDisallow: /", "bot").allow("/a")


def test_a_hostile_pattern_takes_no_time():
    pattern = "*a" * 100_000
    assert RobotsRules(f"User-agent: *\nDisallow: {pattern}$", "bot").allow("/" + "a" * 20_000 + "b")


def test_each_host_is_asked_once_and_a_failure_stands():
    asked = []

    def get(url):
        asked.append(url)
        if "broken" in url:
            raise OSError("no answer")
        return "User-agent: *\nDisallow: /no/"

    robots = Robots("bot", get)
    assert robots.allow("http://one.example/yes/1.jpg")
    assert not robots.allow("http://one.example/no/1.jpg?x=1")
    assert robots.allow("http://one.example:8080/yes")
    for _ in range(2):
        with pytest.raises(OSError, match="no answer"):
            robots.allow("https://broken.example/1.jpg")
    assert asked == [
        "http://one.example/robots.txt",
        "http://one.example:8080/robots.txt",
        "https://broken.example/robots.txt",
    ]
