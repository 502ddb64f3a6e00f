"""Private functions of torch work, and its errors are recognised by their texts."""

import io

import pytest
import torch

from fer_lightning.compat.torch import forbidden_class, is_cut_short, is_torchscript, move_towards


def load_error(content: bytes) -> Exception:
    with pytest.raises(Exception) as error:  # noqa: PT011
        torch.load(io.BytesIO(content), weights_only=True)
    return error.value


def saved(value: object, **options: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def test_averages_move_by_a_share_of_the_distance():
    averages, values = [torch.tensor([0.0, 4.0]), torch.tensor(8.0)], [torch.tensor([4.0, 4.0]), torch.tensor(0.0)]
    move_towards(averages, values, 0.25)
    assert [average.tolist() for average in averages] == [[1.0, 4.0], 6.0]


def test_an_object_of_another_class_is_named():
    assert forbidden_class(load_error(saved(io.StringIO))) == "_io.StringIO"
    assert forbidden_class(load_error(b"text")) is None


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_recognised():
    program = torch.jit.script(torch.nn.Identity())
    file = io.BytesIO()
    torch.jit.save(program, file)
    assert is_torchscript(load_error(file.getvalue()))
    assert not is_torchscript(load_error(saved(io.StringIO)))


def test_an_old_file_that_is_cut_short_is_recognised():
    whole = saved({"weight": torch.zeros(64)}, _use_new_zipfile_serialization=False)
    assert is_cut_short(load_error(whole[:-10]))
    assert not is_cut_short(load_error(saved(io.StringIO)))
