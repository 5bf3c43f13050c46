"""Traces on our ``vllm`` engine against vLLM's offline class, fed wave by wave.

    CHARTER_VLLM=.venv-vllm python -m benchmarks.vllm_waves [--prompts 64] [--revision-rounds 4] [--rounds 5]
        [--against defaults|same] [--compiled]

Both sides do the same calls by the same build of vLLM. Ours is ``charter.revise``, in which a row's next call follows
on its last one. Against it, by turns: ``LLM.generate`` for all initial responses, then for all critiques, all
revisions, and so on, so that each wave waits for its last text.

defaults: the offline class as vLLM makes it, given nothing but the model. It reads prompts in pieces, and a CPU build
that does cannot draw rows with seeds of their own (0.32 ends), so that they have none there.

same: the offline class with the arguments and the environment that Charter gives it, and with the same seeds: what is
left is when a call is put.

``--compiled`` is Charter's setting of that name; vLLM's own default compiles.

Every turn is a process of its own in the environment that ``CHARTER_VLLM`` names (``scripts/install-vllm.sh``), so that
no two are in memory at once and none finds anything in its cache; its clock begins when the model is loaded and has
answered a call. How much there is to gain grows with how unlike the texts' lengths are: ``--max-tokens`` and
``--max-critique-tokens`` are what Charter asks for by default.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from benchmarks.chains import Task, add_flags, make_task
from benchmarks.children import HERE, Child
from benchmarks.generation import per_row
from benchmarks.machine_models import Bench, Work, measure_bench
from benchmarks.measuring import Sample, finish, flags, interleave, result, speed_up
from charter.engines.vllm.environment import find_python

_MAX_ROWS = 256  # how many rows the engine draws at once by default


def side(name: str, bench: Bench, task: Task, given: Namespace) -> Callable[[int], Sample]:
    """Measure one side in a new process."""
    root, compiled = HERE.parent, "compiled" if given.compiled else "eager"
    command = [str(find_python()), "-m", "benchmarks.sides.vllm_side", name, compiled, given.model]
    variables = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}

    def turn(number: int) -> Sample:
        asked = {key: value for key, value in vars(given).items() if isinstance(value, (int, float))}
        with Child([*command, str(bench.dtype).removeprefix("torch.")], variables) as child:
            told = child.ask(asked | {"seed": number})
        return bench.sample(work_of(told, task))

    return turn


def work_of(told: dict[str, Any], task: Task) -> Work:
    """Read what a process told of its turn."""
    return Work(
        seconds=told["seconds"],
        n_rows=len(task.prompts),
        n_calls=told["n_calls"],
        n_prompt=told["n_prompt"],
        n_computed=told["n_prompt"] - told["n_cached"],
        n_drawn=told["n_drawn"],
        batch=min(_MAX_ROWS, len(task.prompts)),
    )


def main() -> None:
    parser = flags(__doc__)
    add_flags(parser)
    parser.set_defaults(max_tokens=256, max_critique_tokens=128)
    parser.add_argument("--against", choices=("defaults", "same"), default="defaults", help="how theirs is loaded")
    parser.add_argument("--compiled", action="store_true", help="let vLLM compile layers for Charter too")
    given = parser.parse_args()
    bench, task = measure_bench(given.model), make_task(given)
    print(f"{len(task.prompts)} prompts, {task.n_calls} calls each; ratios are of rows/s")
    samples = interleave({name: side(name, bench, task, given) for name in ("ours", given.against)}, given.rounds)
    more = {
        "against": given.against,
        "compiled": given.compiled,
        **per_row(samples, task),
        "gemm_gflops": bench.machine.gemm / 1e9,
        "bandwidth_gb_s": bench.machine.bandwidth / 1e9,
    }
    finish(result("vllm_waves", speed_up(samples["ours"], samples[given.against]), samples, **more), samples)


if __name__ == "__main__":
    main()
