"""`python -m viewmask_cli`, as launchers of several processes start it: `accelerate launch -m viewmask_cli train`."""

from viewmask_cli.main import run

run()
