"""How fast is an unrolled GAN step, by K, and what do PyTorch's ways of doing the same take?

    python benchmarks/unroll.py [--cases 0,1,5,10] [--rounds 5] [--torch-python PATH] [--peers eager,compile,...]
    python benchmarks/unroll.py --library       ours only, with XLA's default library for products and the older one

The ring of the unrolled-GAN notebook: batch 512, two 128-unit tanh layers a player, latent 256, both players at once,
the gradient of G through all K updates of D's own Adam. The peers of `unroll_torch.py` share D's first update and G's
samples as ours does. A row a K and peer: steps a second of both, timed in turns, the ratio of the peer's time to ours,
and seconds to compile. A peer that can not be imported gets a row that says so.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.harness import arguments, emit, rounds, spread
from benchmarks.peer import Peer, PeerError
from benchmarks.programs import Training
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.settings import override
from gan_jax.training.evaluations import LoadedData

PEERS = "eager,compile,torchopt,higher,first_order"


def make_experiment(num_inner: int) -> Experiment:
    """The notebook's ring with the peers' loss for G, which leaves out the real term."""
    experiment = override(load("ring_unrolled_notebook"), "num_steps", 10**6)
    experiment = override(experiment, "objective", "non-saturating")
    return override(experiment, "generator.unroll", Unroll(num_steps=num_inner) if num_inner else None)


def make_training(num_inner: int, num_steps: int, small: bool) -> Training:
    """Our steps, compiled with XLA's older library for products (small), or with its default one."""
    return Training(make_experiment(num_inner), LoadedData((), ()), num_steps, small=small)


def measure(num_inner: int, options: argparse.Namespace) -> None:
    """Emits the rows of a K."""
    num_steps = max(10, 60 // (1 + num_inner))
    ours = make_training(num_inner, num_steps, small=True)
    about = {"steps": num_inner, **ours.compiled.figures(), "rounds": options.rounds}
    if options.library:
        other = make_training(num_inner, num_steps, small=False)
        seconds = rounds({"ours": ours.round, "default": other.round}, options.rounds)
        figures = spread("steps_per_second", num_steps / seconds["ours"])
        figures |= spread("default_library", num_steps / seconds["default"])
        emit("unroll library", f"K={num_inner}", about | figures, options.out)
        return
    for name in options.peers.split(",") if options.torch_python else [None]:
        figures = measure_beside(ours, num_steps, num_inner, name, options)
        emit("unroll", f"K={num_inner}" + (f", {name}" if name else ""), about | figures, options.out)


def measure_beside(
    ours: Training, num_steps: int, num_inner: int, name: str | None, options: argparse.Namespace
) -> dict[str, Any]:
    """Figures of our steps beside a peer's, or alone for None; the reason where the peer does not run.

    Args:
        ours: our steps.
        num_steps: those of a round.
        num_inner: K.
        name: of the peer, None for none.
        options: --rounds and --torch-python.
    """
    if name is None:
        return spread("steps_per_second", num_steps / rounds({"ours": ours.round}, options.rounds)["ours"])
    try:
        peer = Peer(options.torch_python, "unroll_torch.py", name, num_inner, num_steps)
    except PeerError as error:
        return {"peer": name, "skipped": str(error)}
    if "skipped" in peer.about:
        peer.close()
        return {"peer": name, "skipped": peer.about}
    seconds = rounds({"ours": ours.round, "peer": peer.round}, options.rounds)
    peer.close()
    return {
        **spread("steps_per_second", num_steps / seconds["ours"]),
        **{f"peer_{key.removeprefix('peer_')}": value for key, value in peer.about.items() if key != "peer"},
        "peer": name,
        **spread("peer_steps_per_second", num_steps / seconds["peer"]),
        **spread("ratio", seconds["peer"] / seconds["ours"]),
    }


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, rounds=5, cases="K; 0,1,5,10 by default", peers=True)
    parser.add_argument("--peers", default=PEERS, help="comma-separated")
    parser.add_argument("--library", action="store_true", help="compare XLA's two libraries for products instead")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    for num_inner in (options.cases or "0,1,5,10").split(","):
        measure(int(num_inner), options)


if __name__ == "__main__":
    main()
