"""The job script of a run, a training or a sweep for Slurm.

    print(script(Job(words=("microcircuit", "--duration", "1000"), nodes=2, ranks_per_node=8)))

One template makes every script, those in `slurm/` among them: they are `script(EXAMPLES[name])`.
"""

import re
import shlex
from dataclasses import dataclass

from distdyn.errors import ExitCode, ParameterError

NOTICE = 300  # seconds before the time limit at which Slurm sends SIGUSR1


@dataclass(frozen=True)
class Job:
    """What is asked of Slurm, and the words after `distdyn run`, `train` or `sweep`.

    Attributes:
        words: the network, or the task, and the options of the command.
        nodes, ranks_per_node, cpus_per_rank, gpus_per_node: how many of each.
        memory: per node, as Slurm writes it ("16G").
        time: the limit, as Slurm writes it ("1:30:00").
        array: seeds, or shares of a sweep, one job for each ("0-99%10"); empty: one job.
        mpi: how srun and the MPI library find each other (srun --mpi=list).
        reasons: lines of comment beside memory and time.
        command: "run", "train" or "sweep", the key of COMMANDS.
    """

    words: tuple[str, ...]
    nodes: int = 1
    ranks_per_node: int = 1
    cpus_per_rank: int = 1
    gpus_per_node: int = 0
    memory: str = "8G"
    time: str = "01:00:00"
    array: str = ""
    partition: str = ""
    account: str = ""
    name: str = "distdyn"
    mpi: str = "pmix"
    reasons: tuple[str, ...] = ()
    command: str = "run"

    def __post_init__(self) -> None:
        least = {"nodes": 1, "ranks_per_node": 1, "cpus_per_rank": 1, "gpus_per_node": 0}
        for field, at_least in least.items():
            if getattr(self, field) < at_least:
                option, value = field.replace("_", "-"), getattr(self, field)
                raise ParameterError(f"--{option} {value} is not possible. Use {at_least} or more.")
        if self.gpus_per_node % self.ranks_per_node:
            raise ParameterError(
                f"--gpus-per-node {self.gpus_per_node} cannot be shared out over --ranks-per-node "
                f"{self.ranks_per_node}. Use one rank per node (it drives all GPUs) or one per GPU."
            )
        for field, (pattern, example) in PATTERNS.items():
            value = getattr(self, field)
            if value and not re.fullmatch(pattern, value):
                option = "mem" if field == "memory" else field
                raise ParameterError(f"--{option} {value!r} is not understood. Use {example}.")
        self._check_words()

    def _check_words(self) -> None:
        for option in ("--seed", "--out"):
            is_one_of_many = self.array and self.command == "run"
            if is_one_of_many and any(word.split("=")[0] == option for word in self.words):
                raise ParameterError(
                    f"{option} and --array: every job of the array has its own. Leave {option} out."
                )

    @property
    def ranks(self) -> int:
        """Of all nodes."""
        return self.nodes * self.ranks_per_node


# What is written into the script as it is must be what it seems.
PATTERNS = {
    "memory": (r"\d+[KMGT]?", "16G"),
    "time": (r"\d+(:\d\d){0,2}|\d+-\d+(:\d\d){0,2}", "1:30:00, or 2-12 (2 days, 12 hours)"),
    "array": (r"{0}(,{0})*(%\d+)?".format(r"\d+(-\d+(:\d+)?)?"), "0-99%10: at most 10 at once"),
    "partition": (r"[\w.,-]+", "a name as sinfo shows it"),
    "account": (r"[\w.@-]+", "the name of your project"),
    "name": (r"[\w.-]+", "letters and digits"),
    "mpi": (r"\w+", "a name as srun --mpi=list shows it"),
}


# --- the template --------------------------------------------------------------------------------

TEMPLATE = """\
#!/usr/bin/env bash
# {title}
# Arguments go to `distdyn {command}`, in place of {what} below:
#     sbatch {file} {example}
#
# Set what your site asks for, and remove one # of its line:
{site}
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node={ranks_per_node}
#SBATCH --cpus-per-task={cpus_per_rank}
{gpus}#SBATCH --hint=nomultithread
{reasons}#SBATCH --mem={memory}
#SBATCH --time={time}
{array}# Started again, after the failure of a node or by the last lines, a job adds to its log.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={log}
# {minutes} minutes before the time limit this script, and not the ranks, is told by USR1.
#SBATCH --signal=B:USR1@{notice}
set -euo pipefail

# How distdyn is found: the .venv of the directory from which the job was submitted, else what is
# active already. Load your site's modules here, before it.
if [ -f "$SLURM_SUBMIT_DIR/.venv/bin/activate" ]; then
    . "$SLURM_SUBMIT_DIR/.venv/bin/activate"
fi
if ! command -v distdyn >/dev/null; then
    echo "distdyn is not installed: activate its environment in this script" >&2
    exit 1
fi

if [ $# -eq 0 ]; then
    set -- {words}
fi
job={job}
{again}

# srun has not inherited --cpus-per-task since Slurm 22.05.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
{mpi}srun {srun} \\
    distdyn {command} --devices auto --progress lines {where} "$@"{seed} &
ranks=$!

# srun passes USR1 on to every rank. The signal also ends `wait`: then wait again.
told=
trap 'told=1; kill -USR1 "$ranks" 2>/dev/null || true' USR1
status=0
wait "$ranks" || status=$?
while [ -n "$told" ]; do
    told=
    status=0
    wait "$ranks" || status=$?
done

# {requeue} is the one status that asks for another start; all others are final.
if [ "$status" -eq {requeue} ]; then
    scontrol requeue "$job"
fi
exit "$status"
"""


def script(job: Job, *, file: str = "job.sh") -> str:
    """The text of the script; `file` is what it calls itself."""
    srun = ["--mpi=" + job.mpi] * (job.ranks > 1)
    srun += ["--cpu-bind=cores"] + ["--gpu-bind=none"] * (job.gpus_per_node > 0)
    return TEMPLATE.format(
        title=_title(job),
        file=file,
        site=_site("partition", job.partition) + "\n" + _site("account", job.account),
        name=job.name,
        nodes=job.nodes,
        ranks_per_node=job.ranks_per_node,
        cpus_per_rank=job.cpus_per_rank,
        gpus=GPUS.format(job.gpus_per_node) if job.gpus_per_node else "",
        reasons="".join(f"# {line}\n" for line in job.reasons),
        memory=job.memory,
        time=job.time,
        array=ARRAY.format(_of_array(job), job.array) if job.array else "",
        log="%x-%A_%a.log" if job.array else "%x-%j.log",
        minutes=NOTICE // 60,
        notice=NOTICE,
        command=job.command,
        **COMMANDS[job.command],
        words=shlex.join(_with_platform(job)),
        job='"${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"' if job.array else "$SLURM_JOB_ID",
        mpi=MPI if job.ranks > 1 else "",
        srun=" ".join(srun),
        seed=' --seed "$SLURM_ARRAY_TASK_ID"' if job.array and job.command == "run" else "",
        requeue=int(ExitCode.REQUEUE),
    )


# What is different between commands.
COMMANDS = {
    "run": {
        "what": "the run",
        "example": "microcircuit --set scale=0.5 --duration 10000",
        "again": """\
# The run is kept there. When USR1 comes it stops at a checkpoint; started again, it goes on from
# it, to the same spikes. With --checkpoint-every 30min also after the failure of a node.
out=runs/$SLURM_JOB_NAME-$job""",
        "where": '--resume auto --out "$out"',
    },
    "train": {
        "what": "the task",
        "example": "evidence --seed 2",
        "again": """\
# The training is kept there after every epoch, and when USR1 comes. Started again, it goes on from
# it, to the same weights; `distdyn train --resume` and `DSTrainer.load` read it when all is done.
checkpoint=runs/$SLURM_JOB_NAME-$job.h5""",
        "where": '--json --checkpoint "$checkpoint"',
    },
    "sweep": {
        "what": "the sweep",
        "example": "brunel --grid g=3:8:6 --grid eta=1:4:4 --duration 1000",
        "again": """\
# The table of all jobs. Each writes a file of its own beside it, and the last one joins them; if
# one has failed, `distdyn sweep --merge --out FILE` joins what there is. Started again, a job goes
# on where it was.
table=runs/$SLURM_JOB_NAME-${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}.h5""",
        "where": '--json --out "$table"',
    },
}
MPI = "# --mpi: how the ranks find each other; `srun --mpi=list` shows what there is.\n"
GPUS = """\
# Not --gpus-per-task: it would hide from each rank the GPUs of the others.
#SBATCH --gres=gpu:{}
"""
ARRAY = """\
# One job for each of these {}, at most so many at once as stand behind the %.
#SBATCH --array={}
"""


def _title(job: Job) -> str:
    if job.command == "train":
        return "A training, by as many ranks as given here: each takes its share of every batch."
    if job.command == "sweep":
        return "A sweep over parameters: one job of an array for each share of the points."
    if job.array:
        return "A sweep over seeds: one job of an array for each."
    if not job.gpus_per_node:
        return "Ranks on CPU cores: as many ranks as given here, each with its own cores."
    if job.ranks_per_node == 1:
        return "One process per node, which drives all GPUs of the node."
    return f"One process per {'GPU' if job.ranks_per_node == job.gpus_per_node else 'few GPUs'}."


def _of_array(job: Job) -> str:
    return "shares" if job.command == "sweep" else "seeds"


def _site(option: str, value: str) -> str:
    return f"#SBATCH --{option}={value}" if value else f"##SBATCH --{option}={option.upper()}"


def _with_platform(job: Job) -> list[str]:
    is_given = any(word.split("=")[0] == "--platform" for word in job.words)
    return [*job.words, *([] if is_given or not job.gpus_per_node else ["--platform", "gpu"])]


# --- what is in slurm/ ---------------------------------------------------------------------------

SMALL = ("microcircuit", "--set", "scale=0.2", "--warmup", "500", "--duration", "1000")
FULL = ("microcircuit", "--set", "drive=poisson", "--warmup", "500", "--duration", "10000")
ROOM = (
    "Per node. The microcircuit at full density takes 6 bytes per synapse, 2 GB in all.",
    "`distdyn sbatch` writes here what the network at hand is expected to need.",
)

GRID = (
    *("brunel", "--set", "n=2500", "--grid", "g=3:8:11", "--grid", "eta=1:4:7"),
    *("--warmup", "200", "--duration", "1000", "--measure", "rate", "cv"),
)
LITTLE = ("Per node. Points of a model take little; of a network, what one run takes.",)
KEPT = (
    "Per node. What the way back through a batch needs: it grows with trials, steps and cells.",
)

EXAMPLES = {
    "cpu_mpi.sbatch": Job(FULL, nodes=2, ranks_per_node=8, cpus_per_rank=4, reasons=ROOM),
    "gpu_node.sbatch": Job(FULL, nodes=2, cpus_per_rank=32, gpus_per_node=4, reasons=ROOM),
    "gpu_process.sbatch": Job(
        FULL, nodes=2, ranks_per_node=4, cpus_per_rank=8, gpus_per_node=4, reasons=ROOM
    ),
    "train.sbatch": Job(
        ("yinyang", "--seed", "1"), ranks_per_node=4, cpus_per_rank=4, reasons=KEPT, command="train"
    ),
    "sweep.sbatch": Job(
        GRID, cpus_per_rank=4, array="0-9%4", reasons=LITTLE, command="sweep", name="sweep"
    ),
    "array.sbatch": Job(SMALL, cpus_per_rank=4, array="0-9%4", reasons=ROOM),
}
