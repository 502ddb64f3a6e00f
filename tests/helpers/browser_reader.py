"""Detector and model of a live server in headless Chromium, for a sequence of images."""

import base64
from collections.abc import Iterable
from typing import Any

import numpy as np
from collect_portraits import encoded

READ = """
async ([images, settings]) => {
  const { Reader } = await import("/faces/reader.js");
  const files = { detector: "/files/detector.onnx", model: "/files/model.onnx" };
  const reader = await Reader.open({ ...files, min_score: 0.7, long_side: 320, most: 8, ...settings });
  const looks = [];
  for (const text of images) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes]));
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    looks.push(await reader.read(context.getImageData(0, 0, image.width, image.height)));
  }
  reader.close();
  return looks;
}
"""


def read_stream(page: Any, pictures: Iterable[np.ndarray], whole_every: int) -> list[dict]:
    """Return the answer of the page's worker to each image of one stream: {faces, whole, ...}."""
    texts = [base64.b64encode(encoded(picture)).decode() for picture in pictures]
    return page.evaluate(READ, [texts, {"whole_every": whole_every}])
