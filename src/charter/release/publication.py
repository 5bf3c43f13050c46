"""A finished run made ready for others, searched, and sent to the Hugging Face Hub.

```
publish_run ─┬─ files of each repository: tables, models (merged where that is asked for), the card as README.md
             ├─ search: a key stops it, whatever is said; a path of this machine too, unless paths are allowed
             └─ send: each repository looked at first, then one commit for each
```
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

from charter.engines.embedded import EMBEDDED
from charter.engines.inspection import ADAPTER_CONFIGURATION, read_configuration
from charter.engines.weights import embedded_at
from charter.errors import RunError, UserError
from charter.publishing.hub import Kind, Repository, Sent, check_name, send
from charter.publishing.leaks import Content, Finding, find_leaks, gather_known
from charter.recipe.paths import is_path
from charter.release.models import last_policy, model_files, model_folder, read_finished
from charter.reporting.cards.collection_card import collection_card, datasets_of
from charter.reporting.cards.dataset_card import files_of
from charter.reporting.cards.facts import Facts
from charter.reporting.cards.model_card import model_card
from charter.reporting.cards.writing import check_licence, find_trained, notes_on

What = Literal["dataset", "adapter", "merged", "cards"]
WHATS: tuple[What, ...] = get_args(What)
#: All but whole weights, which are as large as the base.
USUAL: tuple[What, ...] = ("dataset", "adapter", "cards")

_CARD = "README.md"
_BASE = "base_model_name_or_path"
_BASE_OF_THIS_MACHINE = "the adapter's base is a folder of this machine, which nobody else has"
_MOST_TOLD = 20
_REMEDIES = {
    True: "Take it out of the file, and do anew what made it; a key that stood in a file should be withdrawn. Nothing "
    "lets a secret pass. Where a variable's value is no secret, unset the variable.",
    False: "Take the paths out and do anew what made them, or give --allow-paths if others may read them.",
}


@dataclass(frozen=True)
class Listed:
    """What a repository of the hub is to hold: the bytes of each file, by its name there."""

    kind: Kind
    name: str
    files: Mapping[str, int]


@dataclass(frozen=True)
class Published:
    """What was sent, or would be; ``findings`` are what would have stopped it, where nothing was to be sent."""

    repositories: tuple[Listed, ...]
    sent: tuple[Sent, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return asdict(self)


def publish_run(
    run: Path,
    to: str,
    *,
    what: Sequence[What] = USUAL,
    models: Sequence[str] = (),
    public: bool = False,
    licence: str | None = None,
    dry_run: bool = False,
    allow_paths: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> Published:
    """Send a run's tables, models and cards to the Hugging Face Hub, after every file was searched.

    Args:
        run: a run folder.
        to: ``owner/name`` of the dataset; a model's is ``owner/name-STAGE``, merged ``owner/name-STAGE-merged``.
        what: ``dataset`` (prompts, traces, SFT rows, preferences), ``adapter`` (models as they were trained),
            ``merged`` (adapters merged into their bases), ``cards``; cards alone go to repositories of the first two.
        models: stages that trained; the last policy if there is none.
        public: whether everybody may read it.
        licence: as the hub names it; None leaves the choice to whoever reads the cards.
        dry_run: send nothing, and give what would have stopped it as findings.
        allow_paths: whether paths of this machine may be in what is sent.
        say: told what takes long.

    Raises:
        RunError: where the folder is no run's, or what is asked for is not there or damaged.
        UserError: for secrets or paths in a file, and where the hub takes nothing (see ``publishing.hub.send``).
        ModelError: where an adapter cannot be merged.
    """
    check_licence(licence)
    check_name(to)
    facts = read_finished(run)
    stages = [find_trained(facts, one) for one in dict.fromkeys(models)] or last_policy(facts)
    if not stages and not {"adapter", "merged"}.isdisjoint(what):
        raise RunError(f"{run}: has trained no model yet; go on with it (charter run), or give --what dataset,cards")
    with _work_folder(run) if "merged" in what else contextlib.nullcontext(run) as work:
        maker = _Maker(facts, to, what, licence, work, say)
        repositories = tuple(maker.repositories(stages))
        for one in repositories:
            check_name(one.name)
            _require_own_files(one, run)
        before = _stamps(repositories)
        findings = [*_search(repositories, run), *maker.findings]
        stopping = tuple(one for one in findings if one.is_secret or not allow_paths)
        listed = tuple(Listed(one.kind, one.name, one.sizes) for one in repositories)
        notes = tuple(_notes(facts, what, licence, maker))
        if dry_run:
            return Published(listed, findings=stopping, notes=notes)
        if stopping:
            raise UserError(refusal(stopping))
        if _stamps(repositories) != before:
            raise RunError(f"{run}: files changed while they were searched; nothing was sent: run the command again")
        sent = send(repositories, public=public, message=f"Publish {facts.name} with Charter {version('charter')}")
        return Published(listed, tuple(sent), notes=notes)


def refusal(findings: Sequence[Finding]) -> str:
    """Say what stops a publication, where each is, and what to do; never what was found."""
    lines = ["nothing was sent: files hold what should not leave this machine"]
    for secret in (True, False):
        some = [one for one in findings if one.is_secret is secret]
        lines += [f"  {one}" for one in some[:_MOST_TOLD]]
        lines += [f"  and {len(some) - _MOST_TOLD} kinds more"] if len(some) > _MOST_TOLD else []
        lines += [_REMEDIES[secret]] if some else []
    if any(one.kind == _BASE_OF_THIS_MACHINE for one in findings):
        lines.append("Of such an adapter publish the whole model: --what dataset,merged,cards")
    return "\n".join(lines)


@dataclass(frozen=True)
class _Maker:
    """What the repositories of a run are made of; ``findings`` and ``notes`` come as they are made."""

    facts: Facts
    to: str
    what: Sequence[What]
    licence: str | None
    work: Path
    say: Callable[[str], object]
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def cards_alone(self) -> bool:
        """Whether nothing but cards is asked for: those of the tables and of the models as they were trained."""
        return set(self.what) == {"cards"}

    def _has(self, kind: What) -> bool:
        return kind in self.what or (self.cards_alone and kind != "merged")

    def repositories(self, stages: Sequence[str]) -> Iterator[Repository]:
        """Give the repositories: that of the tables, and one for each model."""
        if self._has("dataset"):
            yield self._dataset()
        for stage in stages:
            name = f"{self.to}-{stage.replace('_', '-')}"
            if self._has("adapter"):
                yield Repository("model", name, self._model(stage, name))
            if self._has("merged"):
                yield Repository("model", f"{name}-merged", self._merged(stage))

    def _dataset(self) -> Repository:
        whats = datasets_of(self.facts)
        if not whats:
            raise RunError(f"{self.facts.data.path}: has no table with rows yet; do its stages first: charter run")
        names = [name for what in whats for name in files_of(self.facts, what)]
        files: dict[str, Content] = {} if self.cards_alone else {name: self.facts.data.path / name for name in names}
        return Repository(
            "dataset", self.to, files | self._card(lambda: collection_card(self.facts, whats, licence=self.licence))
        )

    def _model(self, stage: str, name: str) -> dict[str, Content]:
        card = self._card(lambda: model_card(self.facts, stage, licence=self.licence))
        folder = model_folder(self.facts, stage)
        if self.cards_alone:
            return card
        files: dict[str, Content] = {**model_files(folder)}
        if ADAPTER_CONFIGURATION in files:
            files[ADAPTER_CONFIGURATION] = self._configuration(folder / ADAPTER_CONFIGURATION, name)
        return files | card

    def _merged(self, stage: str) -> dict[str, Content]:
        from charter.training.merging import merge_adapter

        card = self._card(lambda: model_card(self.facts, stage, licence=self.licence, merged=True))
        folder = model_folder(self.facts, stage)
        if not (folder / ADAPTER_CONFIGURATION).is_file():
            raise UserError(f"{folder} is a whole model already, with nothing to merge: 'adapter' sends it as it is")
        self.say(f"merging {stage} into its base")
        return {**model_files(merge_adapter(folder, self.work / stage).folder), **card}

    def _card(self, write: Callable[[], str]) -> dict[str, Content]:
        return {_CARD: write().encode("utf-8")} if "cards" in self.what else {}

    def _configuration(self, path: Path, repository: str) -> Content:
        """Give an adapter's configuration with its base as the hub knows it; a folder as its base is a finding."""
        settings = read_configuration(path)
        named = str(settings.get(_BASE) or "")
        known = named if named in EMBEDDED else embedded_at(named)
        if known is not None:
            origin = EMBEDDED[known].origin
            self.notes.append(
                f"{path.parent.name}: its adapter names {origin} as its base, whose weights are not quite those that "
                "it was trained on; those of 'merged' are"
            )
            return (json.dumps({**settings, _BASE: origin}, indent=2, sort_keys=True) + "\n").encode("utf-8")
        if is_path(named):
            lines = path.read_text("utf-8").splitlines()
            line = next((number for number, text in enumerate(lines, 1) if _BASE in text), 1)
            where = f"{repository}/{ADAPTER_CONFIGURATION}"
            self.findings.append(Finding(where, f"line {line}", _BASE_OF_THIS_MACHINE, is_secret=False))
        return path


@contextlib.contextmanager
def _work_folder(run: Path) -> Iterator[Path]:
    """Make a folder in the run's for weights that are merged, and remove it; the disk of the run has room for such."""
    try:
        folder = tempfile.TemporaryDirectory(prefix=".publish-", dir=run)
    except OSError as error:
        raise RunError(
            f"{run}: cannot be written ({error.strerror or error}), and weights are merged in a folder there; copy the "
            "run to where it can be"
        ) from error
    with folder as name:
        yield Path(name)


def _require_own_files(repository: Repository, run: Path) -> None:
    """Refuse a file that is a link to somewhere else: what lies there is not the run's to give away."""
    for content in repository.files.values():
        if isinstance(content, Path) and not content.resolve().is_relative_to(run.resolve()):
            raise RunError(f"{content}: is a link that leads out of the run's folder; put the file itself there")


def _search(repositories: Sequence[Repository], run: Path) -> Iterator[Finding]:
    known = gather_known(run)
    for one in repositories:
        yield from find_leaks({f"{one.name}/{name}": content for name, content in one.files.items()}, known)


def _stamps(repositories: Sequence[Repository]) -> list[tuple[int, int]]:
    """Say how files are now, by size and time."""
    files = [content for one in repositories for content in one.files.values() if isinstance(content, Path)]
    return [(found.st_size, found.st_mtime_ns) for found in (path.stat() for path in files)]


def _notes(facts: Facts, what: Sequence[What], licence: str | None, maker: _Maker) -> Iterator[str]:
    yield from notes_on(facts, datasets_of(facts) if "dataset" in what else (), licence)
    if facts.data.unfinished_stages:
        yield f"the run is not finished: it lacks {', '.join(facts.data.unfinished_stages)}, and its cards say no more"
    if "cards" not in what:
        yield "no card is sent: whoever finds a repository that is new is told nothing of what is in it"
    yield from maker.notes
