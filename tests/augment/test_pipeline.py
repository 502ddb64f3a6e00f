from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from test_warp import faces

from fer_lightning.augment.geometric import Affine, Flip, Geometric, Rotate
from fer_lightning.augment.mix import CutMix, Mixup
from fer_lightning.augment.pipeline import Augmentation, BatchTransform
from fer_lightning.augment.pixel import Erase, Jitter, Pixel
from fer_lightning.augment.warp import warp
from fer_lightning.errors import UserError

CONF = Path(__file__).parents[2] / "conf" / "augment"
RECIPES = sorted(path.stem for path in CONF.glob("*.yaml"))
TARGET = torch.arange(8) % 7


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def transform(augmentation, size=48):
    return BatchTransform(augmentation, size, mean=0.5, std=0.25, num_classes=7)


def recipe(name):
    return instantiate(OmegaConf.load(CONF / f"{name}.yaml"))


@pytest.mark.parametrize("size", [48, 64])
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_gives_a_replayable_normalised_batch(name, size):
    steps = transform(recipe(name), size)
    x, target = steps.train(faces(), TARGET, generator())
    assert x.shape == (8, 1, size, size)
    assert x.dtype == torch.float32
    assert x.min() >= -2.0001
    assert x.max() <= 2.0001
    assert target.dtype == torch.int64 or torch.allclose(target.sum(dim=1), torch.ones(8))
    again, same_target = steps.train(faces(), TARGET, generator())
    assert torch.equal(x, again)
    assert torch.equal(target, same_target)
    other, _ = steps.train(faces(), TARGET, generator(1))
    assert torch.equal(x, other) == (name == "none")


@pytest.mark.parametrize("name", RECIPES)
def test_equal_channels_stay_equal_but_for_erased_boxes(name):
    """An RGB image is augmented as a whole: no operation draws each channel on its own, except the noise of boxes."""
    augmentation = recipe(name)
    augmentation.pixel = [node for node in augmentation.pixel if not isinstance(node, Erase)]
    grey, target = transform(augmentation, 64).train(faces(), TARGET, generator())
    rgb, same = transform(augmentation, 64).train(faces()[..., None].expand(-1, -1, -1, 3), TARGET, generator())
    assert rgb.shape == (8, 3, 64, 64)
    torch.testing.assert_close(rgb, grey.expand(-1, 3, -1, -1), atol=1e-4, rtol=0)
    assert torch.equal(target, same)


def test_recipes_are_what_their_names_say():
    assert recipe("none").theta(4, generator()) is None
    assert [type(node) for node in recipe("paper").geometric] == [Flip]
    assert [type(node) for node in recipe("seed").geometric] == [Flip, Rotate]
    assert [type(node) for node in recipe("strong").pixel] == [Jitter, Erase]
    assert len(recipe("mix").mixing) == 1


@pytest.mark.parametrize("name", RECIPES)
def test_no_recipe_waits_for_the_device(name):
    """The meta device fails if a value is read. Only the first batch is checked, for which the device is awaited."""
    steps = transform(recipe(name))
    steps.train(faces(), TARGET, generator())
    x, target = steps.train(faces().to("meta"), TARGET.to("meta"), generator())
    assert x.is_meta
    assert target.is_meta


def test_samples_of_a_batch_differ():
    one_face = faces(1).expand(8, 48, 48).contiguous()
    x, _ = transform(recipe("standard")).train(one_face, TARGET, generator())
    assert len(x.unique(dim=0)) == 8


def test_evaluation_is_the_unaugmented_batch():
    for size in (48, 64):
        steps = transform(recipe("strong"), size)
        plain, target = transform(recipe("none"), size).train(faces(), TARGET, generator())
        assert torch.equal(steps.evaluate(faces()), plain)
        assert torch.equal(target, TARGET)
    x = transform(recipe("none")).evaluate(faces())
    torch.testing.assert_close(x[:, 0], (faces() / 255 - 0.5) / 0.25)


def test_pixel_operations_see_zero_to_one_and_the_result_is_normalised_once():
    class Look(Pixel):
        def __call__(self, x, generator):
            self.low, self.high = x.min().item(), x.max().item()
            return x

    look = Look()
    with_look = transform(Augmentation(["flip", "look"], flip=Flip(), look=look))
    without = transform(Augmentation(["flip"], flip=Flip()))
    x, _ = with_look.train(faces(), TARGET, generator())
    assert 0 <= look.low < look.high <= 1
    torch.testing.assert_close(x, without.train(faces(), TARGET, generator())[0], atol=1e-5, rtol=0)


class Theta(Geometric):
    """Geometric node with a given result."""

    def __init__(self, theta):
        self.theta = theta

    def __call__(self, n, generator):
        return self.theta


@pytest.mark.parametrize(
    ("theta", "returned"),
    [
        (torch.eye(2, 3).repeat(8, 1, 1).log(), "numbers that are not finite"),
        (torch.eye(2, 3)[None], r"a Tensor of type torch\.float32 and shape \(1, 2, 3\)"),
        (torch.eye(3).repeat(8, 1, 1), r".* shape \(8, 3, 3\)"),
        (torch.eye(2, 3).double().repeat(8, 1, 1), r".* type torch\.float64"),
        (None, "None"),
    ],
)
@pytest.mark.parametrize("order", [["node"], ["flip", "node"], ["node", "flip"]], ids=str)
def test_a_geometric_node_must_return_a_theta_for_each_image(theta, returned, order):
    nodes = {"node": Theta(theta), "flip": Flip()}
    augmentation = Augmentation(order, **{name: nodes[name] for name in order})
    with pytest.raises(
        UserError, match=rf"augment: test_pipeline\.Theta returned {returned}.*; it must return .*\(8, 2, 3\)"
    ):
        transform(augmentation).train(faces(), TARGET, generator())


class Change(Pixel):
    """Pixel node whose result is a function of the images."""

    def __init__(self, change):
        self.change = change

    def __call__(self, x, generator):
        return self.change(x)


@pytest.mark.parametrize(
    ("change", "returned"),
    [
        (lambda x: x[..., 4:-4, 4:-4], r"a Tensor of type torch\.float32 and shape \(8, 1, 40, 40\)"),
        (lambda x: x.double(), r".* type torch\.float64"),
        (lambda x: None, "None"),
        (lambda x: x * 255, "levels from .* to 255"),
        (lambda x: x - 0.5, "levels from -0.5 to 0.5"),
        (lambda x: x / 0, "numbers that are not finite"),
        (lambda x: x[:1].expand(8, -1, -1, -1), r"an expanded tensor \(contiguous\(\) copies it\)"),
    ],
)
def test_a_pixel_node_must_return_levels_of_the_same_form(change, returned):
    images = faces()
    images[:, 0, 0], images[:, 0, 1] = 0, 255
    steps = transform(Augmentation(["jitter", "node"], jitter=Jitter(0.0, 0.0), node=Change(change)))
    with pytest.raises(
        UserError, match=rf"augment: test_pipeline\.Change returned {returned}.*; it must return .* \[0, 1\]"
    ):
        steps.train(images, TARGET, generator())


def test_first_in_order_is_applied_first():
    nodes = {"rotate": Rotate(40), "affine": Affine(shift=0.2)}
    orders = (["rotate", "affine"], ["affine", "rotate"])
    turned_first, moved_first = (Augmentation(order, **nodes).theta(8, generator()) for order in orders)
    assert not torch.allclose(turned_first, moved_first)
    draws = generator()
    turn, move = nodes["rotate"](8, draws), nodes["affine"](8, draws)
    middle = (255 * warp(faces(), turn, 48)).round().byte()[:, 0]
    in_turn = warp(middle, move, 48)
    at_once = warp(faces(), turned_first, 48)
    assert (255 * (in_turn - at_once)[:, :, 14:34, 14:34].abs()).mean() < 4


def test_mixing_gives_the_same_before_and_after_the_normalisation():
    fused = transform(Augmentation(["mixup"], mixup=Mixup(0.4))).train(faces(), TARGET, generator())[0]
    plain = warp(faces(), None, 48)
    mixed = Mixup(0.4)(plain, TARGET, 7, generator())[0]
    torch.testing.assert_close(fused, (mixed - 0.5) / 0.25, atol=1e-5, rtol=0)


def test_input_is_left_alone():
    images = faces()
    transform(recipe("strong")).train(images, TARGET, generator())
    assert torch.equal(images, faces())


def test_a_node_set_to_null_is_off():
    config = OmegaConf.merge(OmegaConf.load(CONF / "seed.yaml"), {"rotate": None})
    assert [type(node) for node in instantiate(config).geometric] == [Flip]


@pytest.mark.parametrize(
    ("order", "nodes", "words"),
    [
        (["flip", "rotat"], {"flip": Flip(), "rotate": Rotate(5)}, "'rotat'.*Did you mean rotate"),
        (["flip"], {"flip": Flip(), "rotate": Rotate(5)}, "'rotate' 0 times.*augment.rotate=null"),
        (["flip", "flip"], {"flip": Flip()}, "'flip' 2 times"),
        (["jitter", "flip"], {"flip": Flip(), "jitter": Jitter(0.1, 0.1)}, "'flip' must not come after 'jitter'"),
        (["mixup", "cutmix"], {"mixup": Mixup(1), "cutmix": CutMix(1)}, "at most one that mixes"),
        (["flip"], {"flip": 3}, "augment.flip is a int.*Geometric"),
    ],
)
def test_a_wrong_order_is_rejected_with_a_message(order, nodes, words):
    with pytest.raises(UserError, match=words):
        Augmentation(order, **nodes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", RECIPES)
def test_a_seed_gives_the_same_augmentation_on_a_gpu(name):
    steps = transform(recipe(name), 64)
    x, _ = steps.train(faces(), TARGET, generator())
    on_gpu, _ = steps.train(faces().cuda(), TARGET.cuda(), generator())
    assert on_gpu.is_cuda
    assert (on_gpu.cpu() - x).abs().mean() < 0.01


def leaves(name: str) -> list[tuple[str, str, str]]:
    nodes = {key: node for key, node in OmegaConf.load(CONF / f"{name}.yaml").items() if OmegaConf.is_dict(node)}
    return [(name, node, key) for node, keys in nodes.items() for key in keys if key != "_target_"]


@pytest.mark.parametrize(("name", "node", "key"), [*leaves("strong"), *leaves("mix")])
def test_an_impossible_value_is_rejected_by_the_key_of_the_yaml(name, node, key):
    config = OmegaConf.load(CONF / f"{name}.yaml")
    is_range = OmegaConf.is_list(config[node][key])
    config[node][key] = [-1, -1] if is_range else -1
    with pytest.raises(InstantiationException) as raised:
        instantiate(config)
    named = str(raised.value.__cause__).partition("=")[0]
    assert named.startswith(f"augment.{node}.")
    assert OmegaConf.select(config, named.removeprefix("augment.")) is not None
