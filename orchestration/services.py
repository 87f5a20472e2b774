"""What runs behind the UI: the code server, which loads the recipes and works, and Dagster's daemon.

Belongs here: starting both in one process, and saying where the code server is.
Does not: the webserver (ui.py), ending what is left of them (keeper.py). Run as
`python -m orchestration.services WORKSPACE_FILE`.
"""

import signal
import sys
from pathlib import Path

import dagster as dg
import yaml
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget
from dagster._daemon.controller import daemon_controller_from_instance

from orchestration.runs import LOCATION
from stillhouse.home import CHECKOUT


def main(workspace: Path) -> None:
    """Run until SIGTERM or Ctrl-C.

    Args:
        workspace: file that is written once the code server answers; a webserver loads it.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    recipes = ModuleTarget("orchestration.definitions", None, str(CHECKOUT), LOCATION)
    try:
        with dg.DagsterInstance.get() as instance, ProxyServerManager(instance, recipes, "warning") as servers:
            unfinished = workspace.with_suffix(".tmp")
            unfinished.write_text(
                yaml.safe_dump({"load_from": [dict(each) for each in servers.get_code_server_specs()]})
            )
            unfinished.rename(workspace)
            target = WorkspaceFileTarget([str(workspace)])
            with daemon_controller_from_instance(instance, target, code_server_log_level="warning") as controller:
                controller.check_daemon_loop()
    except KeyboardInterrupt:
        return  # the way in which it ends


if __name__ == "__main__":
    main(Path(sys.argv[1]))
