"""What a fast form has to know of the network around it, so that it computes what the plain form would.

A plain form leaves the way back to torch. A fast form takes weights out of a module and writes its own; so it has to
see to this: that a weight which is made anew before each call is made (`fresh`), and that a hook of someone else
(`listened_to`), a function transform (`transformed`) and a second derivative (`twice`) find the plain form.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

MAKE_WEIGHTS = (BasePruningMethod, SpectralNorm, WeightNorm)


def fresh(module: nn.Module) -> nn.Module:
    """The module, whose weights are made from what they are learned as.

    Pruning and the older weight and spectral normalisation do so in a hook before each call; parametrisations need
    nothing, they do so whenever a weight is asked for.
    """
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, MAKE_WEIGHTS):
            hook(module, None)
    return module


def listened_to(network: nn.Module) -> bool:
    """Whether a hook, other than those that make weights, waits for a part of the network to be called."""
    parts = (part for child in network.children() for part in child.modules())
    kinds = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
    hooks = (hook for part in parts for kind in kinds for hook in getattr(part, kind).values())
    return any(not isinstance(hook, MAKE_WEIGHTS) for hook in hooks)


def transformed() -> bool:
    """Whether a transform of `torch.func` is at work, such as grad, vmap or jvp."""
    return torch._C._functorch.maybe_current_level() is not None


def twice(
    plain: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor], needed: Sequence[bool], payoffs: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradients of a plain form, such that they can be differentiated once more.

    Args:
        plain: a function of the inputs.
        inputs: of a `torch.autograd.Function`, as its context saved them.
        needed: which of them need a gradient.
        payoffs: the gradients of what `plain` returns.
    """
    with torch.enable_grad():
        inputs = [each.view_as(each) for each in inputs]  # not themselves: one may have been made from another
        made = zip(plain(*inputs), payoffs, strict=True)
        kept = [(each, payoff) for each, payoff in made if each.requires_grad]
        asked = [each for each, wanted in zip(inputs, needed, strict=True) if wanted]
        outputs, payoffs = ([pair[of] for pair in kept] for of in (0, 1))
        found = iter(torch.autograd.grad(outputs, asked, payoffs, create_graph=True, allow_unused=True))
    return [next(found) if wanted else None for wanted in needed]
