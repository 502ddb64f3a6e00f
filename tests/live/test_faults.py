"""Faults during a game: the server's camera, the model file, the game in a terminal."""

import asyncio
import re
import shutil
import subprocess
import sys

import cv2
import face_video
import numpy as np
import pytest
from conftest import ROOT
from face_models import drawn_model
from live_clients import Plain
from live_frames import level_of
from live_server import LiveServer

from fer_lightning.difficulty.fixed import Fixed
from fer_lightning.faces.face_model import FaceModel
from fer_lightning.faces.tracks import overlap
from fer_lightning.labels import TAXONOMIES
from fer_lightning.live import server as live_server_module
from fer_lightning.live import source
from fer_lightning.live.engine import Engine
from fer_lightning.live.hub import Hub
from fer_lightning.live.limits import Caps
from fer_lightning.live.settings import LiveSettings

CLASSES = TAXONOMIES["fer2013"].classes


@pytest.fixture
def model(tmp_path):
    return drawn_model(tmp_path / "face.onnx")


def write_video(path, label: str) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 120))
    for _ in range(10):
        writer.write(np.full((120, 160, 3), level_of(label, CLASSES), np.uint8))
    writer.release()


@pytest.mark.slow
def test_the_server_s_own_camera_is_shown_to_who_agrees_lost_and_found_again(model, tmp_path):
    video, away = tmp_path / "camera.avi", tmp_path / "unplugged.avi"
    write_video(video, "happy")
    with LiveServer(model, source=video, words=("faces.kind=whole",)) as server:
        with Plain(server) as undecided, Plain(server) as player:
            assert player.heard[0]["camera"] == "server"
            player.say({"type": "consent", "camera": True})
            faces = player.wait("faces", lambda message: message["frame"] >= 3)
            assert (faces["width"], faces["height"]) == (160, 120)
            assert faces["faces"][0]["probabilities"]["happy"] > 0.9
            assert cv2.imdecode(np.frombuffer(player.pictures[-1], np.uint8), cv2.IMREAD_COLOR).shape == (120, 160, 3)
            player.say(b"a frame of the client")
            assert player.wait("notice")["code"] == "no_frames"
            shutil.move(video, away)
            assert "tries again" in player.wait("notice", lambda notice: notice["code"] == "camera_lost")["message"]
            with Plain(server) as late:
                assert late.wait("notice")["code"] == "camera_lost"
            shutil.move(away, video)
            player.wait("notice", lambda notice: notice["code"] == "camera_back")
            player.wait("faces", lambda message: message["frame"] > faces["frame"])
            undecided.say({"type": "adapt", "on": False})
            undecided.wait("difficulty", lambda message: not message["adapt"])
            assert not undecided.pictures, "a player who has not agreed receives no image"
        told = server.log.read_text()
        assert (told.count("gives no images"), told.count("is back"), told.count("Traceback")) == (1, 1, 0)
        assert "[" not in told.partition("Press Ctrl-C to stop.")[2], "OpenCV and FFmpeg print no messages"


def test_a_camera_that_is_not_there_is_named_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "DEVICE", f"{tmp_path}/video")
    for name in ("video0", "video10", "video2", "videos"):
        (tmp_path / name).touch()
    assert source.missing_camera("2") is None
    assert source.missing_camera("film.mp4") is None
    with pytest.warns(UserWarning, match="source=3: this machine has no camera 3 now. Cameras .*: 0, 2, 10. Connect"):
        live_server_module._check(LiveSettings(source="3", model="face.onnx", policy=Fixed()))


def test_a_replaced_model_is_told_to_all_and_the_old_one_goes_on(model, tmp_path, monkeypatch):
    monkeypatch.setattr(live_server_module, "MODEL_SECONDS", 0.01)
    engine = Engine(FaceModel(model), [], live_server_module.FaceRules())
    hub = Hub(engine, Caps(), "client", Fixed(), "fixed")

    async def watched() -> None:
        watching = asyncio.create_task(live_server_module.watch_model(hub))
        await asyncio.sleep(0.1)
        assert not hub.standing
        shutil.move(drawn_model(tmp_path / "new.onnx", taxonomy="learning_game"), model)
        while not hub.standing:
            await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(asyncio.wait_for(watched(), 20))
    assert "Restart it" in hub.standing["model_replaced"].message
    assert hub.metadata.classes == CLASSES


@pytest.mark.slow
def test_the_game_in_a_terminal_plays_itself():
    with LiveServer(words=("difficulty.cooldown_seconds=0.1", "difficulty.stand_seconds=0")) as server:
        command = [
            sys.executable,
            "scripts/game_client.py",
            server.address,
            "--bot",
            "10",
            "--skill",
            "9",
            "--seed",
            "1",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("Which number is") == 10
        assert "* This is where we start. (level 3)" in done.stdout
        assert "(level 4)" in done.stdout, "a player who solves nearly all tasks gets harder ones"
        told = subprocess.run(
            [*command[:3], "--seed", "1"],
            cwd=ROOT,
            input="help\nugh\nquit\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "harder (one level up)" in told.stdout
        assert re.search(r"\(the server: \w+.*you wrote “ugh”", told.stdout)
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert "no live server answers" in refused.stderr


@pytest.mark.slow
def test_a_real_face_is_found_in_its_place_and_nobody_where_there_is_nobody(model):
    with LiveServer(model) as server, Plain(server, camera=True) as player:
        for number, share in enumerate((0.0, 0.2, 0.4, 0.7, 0.9), start=1):
            frame = cv2.cvtColor(face_video.frame(share), cv2.COLOR_RGB2BGR)
            player.say(cv2.imencode(".jpg", frame)[1].tobytes())
            faces = player.wait("faces", lambda message, number=number: message["frame"] == number)["faces"]
            place = face_video.face_box(share)
            assert len(faces) == (place is not None)
            if place:
                x, y, width, height = faces[0]["box"]
                seen = (640 * x, 480 * y, 640 * width, 480 * height)
                assert overlap(seen, place) > 0.5
                assert faces[0]["doubt"] is None
