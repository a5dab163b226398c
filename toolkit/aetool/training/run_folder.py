"""The folder of a run that is not finished: ``OUTPUT/training/`` with its configuration, state and logs.

A checkpoint that stands in ``OUTPUT`` stays whole and readable until the new one takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aetool.config import Config, config_differences, config_text, load_config
from aetool.training.checkpoint import CONFIG, is_checkpoint
from aetool.training.state import State, load_state, save_state
from aetool_runtime.atomic import check_target, is_empty_folder, replacing_folder
from aetool_runtime.errors import InputError, UsageError

__all__ = ["RunFolder", "saved_config"]


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run.

    Args:
        output: the checkpoint's folder.
    """

    output: Path

    @property
    def training(self) -> Path:
        """What belongs to the run and not to the checkpoint."""
        return self.output / "training"

    @property
    def logs(self) -> Path:
        """TensorBoard event files."""
        return self.training / "logs"

    @property
    def state(self) -> Path:
        """The saved state; there from the run's first moment to its last."""
        return self.training / "state.npz"

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.training / CONFIG

    @property
    def is_unfinished(self) -> bool:
        """There is a run to go on with."""
        return self.state.is_file()

    def check_new(self, *, overwrite: bool) -> None:
        """Refuse to start where something stands that ``overwrite`` does not cover.

        Raises:
            UsageError: the folder exists; or ``overwrite`` would delete what is no checkpoint and no run.
        """
        if not overwrite and self.is_unfinished:
            raise UsageError(
                "there is an unfinished run", where=str(self.output), hint="go on with --resume, or pass --overwrite"
            )
        check_target(
            self.output,
            overwrite=overwrite,
            replaceable=lambda path: is_checkpoint(path) or self.is_unfinished or is_empty_folder(path),
            kind="a checkpoint or a run",
        )

    def start(self, config: Config, state: State) -> None:
        """Make the folder with its first state, in one step."""
        if self.output.exists():
            with replacing_folder(self.training) as partial:
                _write(partial, config, state)
        else:
            with replacing_folder(self.output) as partial:
                (partial / self.training.name).mkdir()
                _write(partial / self.training.name, config, state)

    def save(self, state: State) -> None:
        """Replace the saved state."""
        save_state(self.state, state)

    def load(self, config: Config, data: str) -> State:
        """Read the state of a run, which must be of the same configuration and data (a sha256).

        Raises:
            UsageError: another configuration; names what differs.
            InputError: other data.
            ModelError: damaged.
        """
        self.check_same(config)
        state = load_state(self.state)
        if state.progress.data != data:
            raise InputError(
                "the run was started on other data", where=str(self.output), hint="give the same data, or --overwrite"
            )
        return state

    def check_same(self, config: Config) -> None:
        """Refuse a configuration that is not the one that the run was started with.

        Raises:
            UsageError: names what differs.
        """
        differences = config_differences(config, saved_config(self.output))
        if differences:
            raise UsageError(
                f"the run was started with another {', '.join(differences)}",
                where=str(self.output),
                hint="resume without a configuration or such options, or start a new run with --overwrite",
            )


def saved_config(output: Path) -> Config:
    """The resolved configuration of the run, finished or not, in a folder.

    Raises:
        UsageError: there is none.
    """
    run = RunFolder(output)
    for path in (run.config, output / CONFIG):
        if path.is_file():
            return load_config(path)
    raise UsageError("there is no run to resume", where=str(output), hint="start one: leave --resume out")


def _write(folder: Path, config: Config, state: State) -> None:
    (folder / CONFIG).write_text(config_text(config), encoding="utf-8")
    save_state(folder / "state.npz", state)
