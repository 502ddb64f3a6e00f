from collections.abc import Iterator

import pytest
from collect_server import ImageHost


@pytest.fixture
def image_host() -> Iterator[ImageHost]:
    with ImageHost() as host:
        yield host
