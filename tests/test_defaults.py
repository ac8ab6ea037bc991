"""Defaults on which notebooks rely: each is a paper's number, or a choice whose reason stands beside it."""

import inspect

import pytest

from companion import baselines, mechanisms, tasks
from companion.experiment import Model
from companion.settings import essential
from companion.training import Trainer

KE, BA, GRAVES = "Ke et al. 2018", "Ba et al. 2016", "Graves 2016"
BANINO, DANIHELKA, MNIH = "Banino et al. 2021", "Danihelka et al. 2016", "Mnih et al. 2016"
FIRST = "the definition, or the form that is right for any call"
HELD_OUT = "1,000 examples: a share is off by 1.6 % at most, one standard deviation"
EACH = "500 sequences of each length: a share of one length is off by 2.2 % at most, one standard deviation"
PLAIN = "nothing unless it is asked for"
TORCH = {"device": (None, "torch's own default"), "dtype": (None, "torch's own default")}

# What takes it → its argument → the value, and where that is from.
DEFAULTS = {
    mechanisms.SparseAttentiveBacktracking: {
        "top_k": (5, f"{KE}, released code, its README's run of copying"),
        "truncation": (5, f"{KE}, released code, its README's run of copying"),
        "memory_every": (2, f"{KE}, released code's default"),
        "normaliser": ("subtract", f"{KE}: (S3)"),
        "mental_updates": (True, f"{KE}: the mechanism, of which an ablation takes them away"),
        "forget_bias": (1.0, "Le et al. 2015, who search from 1 on; the same in every LSTM of the book"),
        "form": ("auto", FIRST),
        "cell": ("lstm", f"{KE}: (S1)"),
        "temperature": (1.0, f"{KE}: a softmax as it is, and (S3) does not change with it"),
        **TORCH,
    },
    mechanisms.sparsify: {"normaliser": ("subtract", f"{KE}: (S3)"), "temperature": (1.0, PLAIN)},
    mechanisms.released_weights: {"mixed": (False, "each example by itself")},
    mechanisms.FastWeights: {
        "decay": (0.9, f"{BA}, A.1, on associative retrieval"),
        "rate": (0.5, f"{BA}, 3.1 and A.1"),
        "inner_steps": (1, f"{BA}, 3.1: S = 1"),
        "form": ("auto", FIRST),
        "recurrent_init": (0.05, f"{BA}, A.1"),
        **TORCH,
    },
    mechanisms.GlimpseFastWeights: {
        "decay": (0.95, f"{BA}, 3.1, unless noted otherwise"),
        "rate": (0.5, f"{BA}, 3.1"),
        "inner_steps": (1, f"{BA}, 3.1: S = 1"),
        "form": ("attention", "four writes to a picture: the cheap form"),
        "recurrent_init": (0.05, f"{BA}, A.1"),
        "integration_init": (0.05, "as the other slow matrix; the paper leaves it open"),
        **TORCH,
    },
    mechanisms.AdaptiveComputation: {
        "cell": ("lstm", f"{GRAVES}, 3.2 to 3.5: all experiments but parity"),
        "time_penalty": (
            1e-2,
            f"{GRAVES}, 3: within the grid, and no more than what parity, logic and addition were learnt with",
        ),
        "epsilon": (0.01, f"{GRAVES}, 2.1"),
        "max_steps": (100, f"{GRAVES}, 3: M = 100 in all experiments but addition"),
        "halting_bias": (1.0, f"{GRAVES}, 3: b_h starts at 1"),
        "form": ("fast", "computes the same as the definition"),
        **TORCH,
    },
    baselines.LSTM: {
        "truncation": (None, "full backpropagation through time"),
        "forget_bias": (1.0, "Le et al. 2015, who search from 1 on; the same in every LSTM of the book"),
        **TORCH,
    },
    baselines.IRNN: {"recurrent_init": (0.5, f"{BA}, A.1"), **TORCH},
    baselines.LayerNormRNN: {"recurrent_init": (0.5, f"{BA}, A.1, of their IRNN"), **TORCH},
    baselines.SettlingRNN: {
        "inner_steps": (1, "as deep as the fast weights, which it is the control of"),
        "recurrent_init": (0.5, f"{BA}, A.1, of their IRNN"),
        **TORCH,
    },
    baselines.AssociativeLSTM: {
        "copies": (4, f"{BA}, 4.1"),
        "heads": (3, f"{BA}, 4.1"),
        "forget_bias": (1.0, "as in every LSTM of the book"),
        **TORCH,
    },
    baselines.FixedRepeats: {
        "cell": ("lstm", "as adaptive computation, which it is compared with"),
        "repeats": (2, f"as often as adaptive computation begins with: {GRAVES}, b_h = 1"),
        **TORCH,
    },
    baselines.PonderNet: {
        "cell": ("lstm", "as adaptive computation, which it is compared with"),
        "prior": (0.1, f"{BANINO}: within the range of λ_p that is tried; 1/λ_p is half of M"),
        "weight": (0.01, f"{BANINO}: β = 0.01"),
        "max_steps": (20, f"{BANINO}, parity: M = 20"),
        "tail": (0.05, f"{BANINO}, parity: training unrolls until 0.05 is left"),
        "seed": (0, "any: the draws of evaluation are the same in every run"),
        **TORCH,
    },
    baselines.PatchConvNet: {
        "joins": ((2, 2), f"{BA}, 4.2: three layers for digits"),
        "overlap": (False, f"{BA}, 4.2: the patches of the other models"),
        **TORCH,
    },
    baselines.Transformer: {
        "layers": (2, "as wide and deep as fits a CPU; the paper prints no sizes"),
        "heads": (4, "divides every width that the notebooks have"),
        "length": (1024, f"{KE}: CIFAR-10 has 1,024 pixels, the longest of its image experiments"),
        "dropout": (0.0, "runs stay deterministic"),
        **TORCH,
    },
    tasks.Adding: {"held_out_size": (1000, HELD_OUT)},
    tasks.Addition: {
        "max_numbers": (5, f"{GRAVES}, 3.3"),
        "max_digits": (5, f"{GRAVES}, 3.3"),
        "held_out_each": (500, EACH),
    },
    tasks.AssociativeRetrieval: {
        "pairs": (4, f"{BA}, 4.1, the two examples that are printed"),
        "sizes": ((100_000, 10_000, 20_000), f"{BA}, 4.1: training, validation, test"),
    },
    tasks.Catch: {
        "size": (16, f"{BA}, 4.4, Figure 5"),
        "visible": (3, f"{BA}, 4.4, Figure 5"),
        "discount": (0.99, MNIH),
        "entropy_cost": (0.01, MNIH),
        "value_cost": (0.5, f"{MNIH}: the gradient of V is that of half the square"),
        "held_out_size": (1000, HELD_OUT),
    },
    tasks.CatchEnv: {
        "size": (16, f"{BA}, 4.4, Figure 5"),
        "visible": (3, f"{BA}, 4.4, Figure 5"),
        "render_mode": (None, PLAIN),
    },
    tasks.Copying: {
        "encoding": ("one-hot", "symbols have no order; the released code feeds one number, and is offered"),
        "held_out_size": (1000, HELD_OUT),
    },
    tasks.CopyingTransfer: {
        "encoding": ("one-hot", "symbols have no order; the released code feeds one number, and is offered"),
        "held_out_size": (1000, HELD_OUT),
        "test_size": (200, "2,000 symbols at each delay: a share is off by 1.1 % at most, one standard deviation"),
    },
    tasks.DigitGlimpses: {
        "source": ("excerpt", "comes with the repository"),
        "validation_size": (1000, HELD_OUT),
    },
    tasks.FaceGlimpses: {
        "source": ("london", "free for anyone"),
        "fold": (1, "the first"),
        "folds": (3, "a test fold as large as the set allows, with as many people twice over to train on"),
    },
    tasks.Language: {
        "validation_windows": (500, "50,000 characters, at a window of 100"),
        "test_windows": (500, "50,000 characters, at a window of 100"),
        "summed": (False, "bits per character are a mean"),
    },
    tasks.Logic: {
        "max_length": (10, f"{GRAVES}, 3.2"),
        "max_gates": (10, f"{GRAVES}, 3.2"),
        "held_out_each": (500, EACH),
    },
    tasks.Parity: {
        "bits": (64, f"{GRAVES}, 3.1"),
        "placement": ("prefix", f"k entries of a vector, {GRAVES}, 3.1; the paper leaves open which"),
        "held_out_size": (10_000, "a share is off by 0.5 % at most, one standard deviation"),
        "most": (None, f"{GRAVES}, 3.1: trained and tested alike"),
    },
    tasks.PixelCIFAR10: {
        "pool": (1, f"{KE}: every pixel"),
        "colour": ("rgb", "Trinh et al. 2018"),
        "source": ("exact", "the published set"),
        "training_size": (None, "all there are"),
        "test_size": (None, "all there are"),
        "validation_size": (1000, HELD_OUT),
    },
    tasks.PixelMNIST: {
        "pool": (1, f"{KE}: every pixel"),
        "permuted": (True, f"{KE}: permuted MNIST"),
        "source": ("excerpt", "comes with the repository"),
        "validation_size": (1000, HELD_OUT),
    },
    tasks.Sort: {
        "max_numbers": (15, f"{GRAVES}, 3.4"),
        "gap": (0.0, f"{GRAVES}, 3.4: normal numbers as they come"),
        "held_out_each": (500, EACH),
    },
    Trainer: {
        "clip": (1.0, f"{KE}, released code"),
        "evaluate_every": (200, "a curve has room for 200 looks; every paper trains for 10,000 updates and more"),
        "device": ("cpu", "is everywhere"),
        "checkpoint": (None, PLAIN),
        "identity": ("", PLAIN),
        "watch": (None, PLAIN),
        "averaging": (0.0, PLAIN),
    },
    Model: {
        "task": (None, PLAIN),
        "watch": (None, PLAIN),
        "averaging": (0.0, PLAIN),
        "label": ("", "its name says it"),
    },
}
DEFAULTS[mechanisms.DeltaFastWeights] = DEFAULTS[mechanisms.FastWeights]  # which it varies
OWN = [each for part in (mechanisms, baselines, tasks) for each in map(part.__dict__.get, part.__all__)]


def defaults(call):
    parameters = inspect.signature(call).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}


@pytest.mark.parametrize("call", DEFAULTS, ids=lambda call: call.__name__)
def test_a_default_is_what_its_source_says(call):
    assert defaults(call) == {name: value for name, (value, _) in DEFAULTS[call].items()}


def test_every_default_of_a_mechanism_a_baseline_and_a_task_has_a_source():
    assert not [each.__name__ for each in OWN if each not in DEFAULTS and defaults(each)]


def test_what_decides_a_result_is_kept_and_what_is_said_elsewhere_is_not():
    """A record names its profile, model, seed and device in fields of their own, and folders decide nothing.

    What is learnt, how long and at which rate decides a result, so a record of another value is another record.
    """
    aside = {
        "profile": "paper",
        "models": ["a"],
        "seed": 3,
        "device": "cuda",
        "records": "here",
        "checkpoints": "there",
    }
    decisive = {
        "steps": 5, "search_steps": 2, "learning_rates": [0.1], "clip": 1.0, "batch_size": 8, "evaluate_every": 1,
        "hidden_size": 4, "goal": {"error": 0.1}, "averaging": 0.9, "delay": 7, "encoding": "scalar",
    }  # fmt: skip
    assert essential(aside | decisive) == decisive
