"""Where a pretrained model comes from: a package, the hub or a folder, and how its bytes are taken in.

Belongs here: finding the folder that a source names, fetching it, keeping its files.
Does not: what must hold of them (weights.py).
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.files import make_folder
from stillhouse.models.weights import WeightsRecord, files_of, refuse_pickles, verify_weights
from stillhouse.packages import SCHEME, in_package
from stillhouse.records.artifacts import ArtifactStore

_SAFE_PATTERNS = ["*.safetensors", "*.json", "*.txt"]


def resolve_model(source: str, revision: str | None = None) -> Path:
    """Find the folder a recipe's model source names, downloading it only for `hf://`.

    Args:
        source: `package://<import name>/<path>` (inside an installed package, which is not imported),
            `hf://<organisation>/<name>`, or a local folder.
        revision: commit of the hub repository; required for `hf://`, ignored otherwise.

    Raises:
        StillhouseError: if the source is malformed, unpinned or not there.
    """
    if source.startswith("hf://"):
        return _from_hub(source, revision)
    folder = in_package(source) if source.startswith(SCHEME) else Path(source).expanduser()
    if not folder.is_dir():
        raise StillhouseError(
            "no such model folder",
            where=source,
            expected="a folder with config, tokenizer and safetensors",
            do="Correct the model's source in the recipe.",
        )
    return folder


@dataclass(frozen=True, slots=True)
class BaseModel:
    """Pretrained weights that were read once from outside, and are kept.

    Attributes:
        folder: the files that make the model, as they were kept; there while the block of `base_model` runs.
        record: what was found in them.
        digests: SHA-256 of each file, by its name. The fingerprint is made of these.
    """

    folder: Path
    record: WeightsRecord
    digests: dict[str, str]

    def external_inputs(self, address: str) -> dict[str, str]:
        """The kept files as a manifest names them, `<address>/<file>`: an audit finds each by its digest."""
        return {f"{address}/{name}": digest for name, digest in self.digests.items()}


@contextmanager
def base_model(
    source: str,
    revision: str | None,
    store: ArtifactStore,
    verify: Callable[[Path], WeightsRecord] | None = None,
) -> Iterator[BaseModel]:
    """Take pretrained weights in: the bytes that are kept are the bytes that are verified, and those that are used.

    Args:
        source: see `resolve_model`.
        revision: likewise.
        store: where the files are kept.
        verify: what has to hold of them; `verify_weights` when None.

    Raises:
        StillhouseError: if the source leads nowhere, or the model is unsafe, broken or at odds with itself.
    """
    outside = resolve_model(source, revision)
    names = files_of(outside)
    refuse_pickles(outside)
    digests = {name: store.keep(outside / name) for name in names}
    make_folder(store.workbench)
    with tempfile.TemporaryDirectory(dir=store.workbench) as temporary:
        folder = Path(temporary)
        for name, digest in digests.items():
            (folder / name).symlink_to(store.kept(digest).absolute())
        try:
            yield BaseModel(folder, (verify or verify_weights)(folder), digests)
        except StillhouseError as error:  # of whoever reads them, too: the folder is gone when a person sees its name
            raise error.at(error.where.replace(str(folder), str(outside))) from error


def config_on_the_hub(source: str, revision: str) -> Path:
    """The folder with config.json of a model on the hub, of which nothing else is fetched.

    Raises:
        StillhouseError: if the hub does not know it, or cannot be asked.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name = source.removeprefix("hf://")
    try:
        return Path(hf_hub_download(name, "config.json", revision=revision)).parent
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise StillhouseError(
            f"the hub does not know it, or could not be asked ({type(error).__name__})",
            where=f"{source}@{revision}",
            expected="an existing repository and commit that you may read, and a network",
            do="Check the name, the revision and HF_TOKEN.",
        ) from error


def _from_hub(source: str, revision: str | None) -> Path:
    if not revision:
        raise StillhouseError(
            "the model is not pinned",
            where=source,
            expected="a revision (a commit of the repository)",
            do="Add `revision:` to the model in the recipe.",
        )
    if not re.fullmatch(r"hf://[\w.-]+/[\w.-]+", source):
        raise StillhouseError(
            "malformed hub source",
            where=source,
            expected="hf://<organisation>/<name>",
            do="Correct the model's source in the recipe.",
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(source.removeprefix("hf://"), revision=revision, allow_patterns=_SAFE_PATTERNS)
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise StillhouseError(
            f"the hub did not give the model ({type(error).__name__})",
            where=f"{source}@{revision}",
            expected="an existing repository and revision that you may read, and a network",
            do="Check the name, the revision and HF_TOKEN, or download the folder and use its path.",
        ) from error
    return Path(folder)
