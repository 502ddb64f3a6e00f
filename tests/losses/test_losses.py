import numpy as np
import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from sklearn.utils.class_weight import compute_class_weight

from fer_lightning.errors import UserError
from fer_lightning.losses.class_balanced import ClassBalanced
from fer_lightning.losses.cross_entropy import CrossEntropy
from fer_lightning.losses.focal import Focal
from fer_lightning.losses.label_smoothing import LabelSmoothing
from fer_lightning.losses.logit_adjusted import LogitAdjusted
from fer_lightning.losses.weighted import WeightedCrossEntropy
from fer_lightning.training.build import build_loss

COUNTS = [3995, 436, 4097, 7215, 4830, 3171, 4965]  # FER2013's Training rows
K = len(COUNTS)

LOSSES = {
    "cross_entropy": CrossEntropy(),
    "weighted": WeightedCrossEntropy(COUNTS),
    "label_smoothing": LabelSmoothing(),
    "focal": Focal(),
    "class_balanced": ClassBalanced(COUNTS),
    "logit_adjusted": LogitAdjusted(COUNTS),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(64, K, generator=generator)
    return logits, torch.randint(K, (64,), generator=generator)


def mixed(target, share=0.3):
    """Mixup's targets: each row's label and its neighbour's."""
    return (1 - share) * F.one_hot(target, K).float() + share * F.one_hot(target.roll(1), K).float()


@every_loss
def test_one_hot_target_equals_hard_target(loss, batch):
    logits, target = batch
    assert torch.equal(loss(logits, F.one_hot(target, K).float()), loss(logits, target))


@every_loss
def test_soft_target_lies_between_wrong_and_right(loss):
    logits = torch.tensor([[4.0, 0, 0, 0, 0, 0, 0]])
    right, wrong = torch.eye(K)[:1], torch.eye(K)[1:2]
    assert loss(logits, right) < loss(logits, 0.7 * right + 0.3 * wrong) < loss(logits, wrong)


@every_loss
def test_gradients(loss, batch):
    logits, target = batch[0][:4].double().requires_grad_(), batch[1][:4]
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits)
    assert torch.autograd.gradcheck(lambda x: loss(x, mixed(target).double()), logits)


@every_loss
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_logits_stay_finite(loss, scale):
    logits = (scale * torch.eye(K)).requires_grad_()
    for target in (torch.arange(K), torch.arange(K).roll(1)):
        value = loss(logits, target)
        value.backward()
        assert value.isfinite()
        assert logits.grad.isfinite().all()


@every_loss
def test_float32_under_autocast(loss, batch):
    logits, target = batch[0].bfloat16(), batch[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(logits, target)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(logits.float(), target).item(), rel=1e-6)


@every_loss
def test_targets_of_another_shape_are_refused(loss, batch):
    logits, target = batch
    with pytest.raises(ValueError, match="does not fit logits"):
        loss(logits, target[:, None].float())
    with pytest.raises(ValueError, match="does not fit logits"):
        loss(logits, torch.rand(64, K + 1))


@every_loss
def test_nothing_of_the_loss_is_saved(loss):
    assert not loss.state_dict()


def test_cross_entropy_is_torchs(batch):
    logits, target = batch
    torch.testing.assert_close(CrossEntropy()(logits, target), F.cross_entropy(logits, target))
    torch.testing.assert_close(CrossEntropy()(logits, mixed(target)), F.cross_entropy(logits, mixed(target)))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_label_smoothing_is_torchs(batch, smoothing):
    logits, target = batch
    for q in (target, mixed(target)):
        torch.testing.assert_close(
            LabelSmoothing(smoothing)(logits, q), F.cross_entropy(logits, q, label_smoothing=smoothing)
        )


def test_weighted_is_scikit_learns_balanced_in_torchs_cross_entropy(batch):
    logits, target = batch
    labels = np.repeat(np.arange(K), COUNTS)
    balanced = compute_class_weight("balanced", classes=np.arange(K), y=labels)
    loss = WeightedCrossEntropy(COUNTS)
    np.testing.assert_allclose(loss.weight, balanced, rtol=1e-6)
    torch.testing.assert_close(
        loss(logits, target), F.cross_entropy(logits, target, weight=torch.tensor(balanced).float())
    )


def test_weighted_mean_divides_by_the_summed_target_weights(batch):
    logits, target = batch
    loss = WeightedCrossEntropy(COUNTS)
    q, log_p = mixed(target).double(), logits.double().log_softmax(1)
    above = sum(loss.weight[k] * q[i, k] * -log_p[i, k] for i in range(len(q)) for k in range(K))
    below = sum(loss.weight[k] * q[i, k] for i in range(len(q)) for k in range(K))
    assert loss(logits, mixed(target)).item() == pytest.approx((above / below).item(), rel=1e-5)


def test_every_class_weighs_the_same_in_total_under_weighted():
    torch.testing.assert_close(WeightedCrossEntropy(COUNTS).weight * torch.tensor(COUNTS), torch.full((K,), 28709 / K))


def test_focal_without_gamma_is_cross_entropy(batch):
    logits, target = batch
    for q in (target, mixed(target)):
        torch.testing.assert_close(Focal(gamma=0.0)(logits, q), F.cross_entropy(logits, q))


def test_focal_reference_value():
    """Lin et al. 2017, section 3.2: at p = 0.9 and gamma 2 the loss is 100 times lower than cross-entropy."""
    logits = torch.tensor([[0.9, 0.1]]).log()
    target = torch.tensor([0])
    assert (CrossEntropy()(logits, target) / Focal(2.0)(logits, target)).item() == pytest.approx(100, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_gradient_is_finite_where_the_network_is_certain(gamma):
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    Focal(gamma)(logits, torch.tensor([0])).backward()
    assert logits.grad.isfinite().all()


def test_class_balanced_reference_weights():
    """Effective numbers (1 - beta^n) / (1 - beta) summed as the geometric series that they are."""
    beta, counts = 0.9, [1, 2, 50]
    effective = np.array([sum(beta**i for i in range(n)) for n in counts])
    weight = ClassBalanced(counts, beta).weight.numpy()
    np.testing.assert_allclose(weight, 3 / effective / (1 / effective).sum(), rtol=1e-6)
    assert weight.sum() == pytest.approx(3)


def test_class_balanced_lies_between_no_weights_and_inverse_frequency():
    torch.testing.assert_close(ClassBalanced(COUNTS, beta=0.0).weight, torch.ones(K))
    inverse = WeightedCrossEntropy(COUNTS).weight
    torch.testing.assert_close(ClassBalanced(COUNTS, 1 - 1e-9).weight, inverse / inverse.mean(), rtol=1e-4, atol=0)


def test_logit_adjusted_without_tau_is_label_smoothing(batch):
    assert LogitAdjusted(COUNTS, tau=0.0, smoothing=0.1)(*batch) == LabelSmoothing(0.1)(*batch)


def test_the_best_logits_of_logit_adjusted_have_no_class_frequency():
    """Logits that do not depend on the face give class frequencies with tau=0, and equal probabilities with tau=1."""
    counts = [10, 30, 60]
    target = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    for tau, expected in ((0.0, [0.1, 0.3, 0.6]), (1.0, [1 / 3] * 3)):
        logits = torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.LBFGS([logits], max_iter=100)
        loss = LogitAdjusted(counts, tau, smoothing=0.0)

        def closure(logits=logits, optimizer=optimizer, loss=loss):
            optimizer.zero_grad()
            value = loss(logits.expand(100, 3), target)
            value.backward()
            return value

        optimizer.step(closure)
        assert logits.detach().softmax(0).tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("build", [WeightedCrossEntropy, ClassBalanced, LogitAdjusted])
def test_a_class_without_rows_is_refused(build):
    with pytest.raises(UserError, match=r"class 1 has no training row .*\[5, 0, 7\].*loss=cross_entropy"):
        build([5, 0, 7])


def test_a_class_without_rows_is_named_in_a_run():
    config = OmegaConf.create({"loss": {"_target_": "fer_lightning.losses.weighted.WeightedCrossEntropy"}})
    with pytest.raises(UserError, match=r"loss=weighted: sad has no training row"):
        build_loss(config, [5, 0, 7], ("angry", "sad", "happy"))


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: LabelSmoothing(1.0), "loss.smoothing=1.0"),
        (lambda: LogitAdjusted(COUNTS, smoothing=-0.1), "loss.smoothing=-0.1"),
        (lambda: LogitAdjusted(COUNTS, tau=-1.0), "loss.tau=-1.0"),
        (lambda: Focal(-1.0), "loss.gamma=-1.0"),
        (lambda: ClassBalanced([1, 1], beta=1.0), "loss.beta=1.0"),
    ],
)
def test_settings_out_of_range_are_refused(build, key):
    with pytest.raises(UserError, match=key):
        build()
