"""Makes a plan by a dry run that records its actions; applies a plan by a run that carries out only these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aios3sync._dataclass import replace
from aios3sync.errors import UsageError
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.sync.plans.gate import PlanCheck, PlanWriter
from aios3sync.sync.plans.plan import Plan
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources

__all__ = ("apply_plan", "make_plan", "options_to_apply")

Runner = Callable[[SyncRequest, Resources], Awaitable[SyncReport]]


async def make_plan(run: Runner, request: SyncRequest, resources: Resources) -> tuple[Plan, SyncReport]:
    """Run a sync dry and return its plan and report.

    Raises:
        UsageError: a plan cannot store the request.
        AioS3SyncError: as :func:`~aios3sync.sync.setup.run_sync`.
    """
    plan = _begin(request)
    request = replace(request, options=replace(request.options, dry_run=True))
    report = await run(request, replace(resources, gate=PlanWriter(plan)))
    plan.conclude(report)
    return plan, report


def _begin(request: SyncRequest) -> Plan:
    if request.files is not None or request.overrides:
        raise UsageError("a plan is of a directory or a bucket; it keeps no list of files and no overrides")
    root = request.root if request.source_location is None else str(request.source_location)
    source, target = root, str(request.location)
    if request.direction == "down":
        source, target = target, source
    return Plan.begin(source, target, request.direction, request.endpoint, request.options)


def options_to_apply(plan: Plan, secrets: Mapping[str, bytes], *, dry_run: bool = False) -> SyncOptions:
    """Return the options for applying a plan: those of the plan, always with a listing.

    Args:
        plan: the plan.
        secrets: the keys that the plan does not keep, by the names of their options.
        dry_run: only find out which actions would be carried out, and which refused.

    Raises:
        UsageError: a key is missing, or is not one of the plan.
    """
    if missing := [name for name in plan.secrets if not secrets.get(name)]:
        raise UsageError(f"the plan was made with {missing[0]}, which it does not keep; give it again")
    if strange := [name for name, value in secrets.items() if value and name not in plan.secrets]:
        raise UsageError(f"the plan was made without {strange[0]}; make it again")
    check = "content" if plan.options.check == "content" else "list"
    if plan.options.no_list:
        check = plan.options.check
    return SyncOptions.of(plan.options, {**secrets, "check": check, "dry_run": dry_run})


async def apply_plan(run: Runner, plan: Plan, request: SyncRequest, resources: Resources) -> SyncReport:
    """Run the sync of a plan, and carry out only the actions that it names.

    Args:
        run: runs a request with its resources.
        plan: the actions.
        request: of the same sides, with :func:`options_to_apply`.
        resources: of the session.

    Raises:
        UsageError: the plan is of another endpoint.
        AioS3SyncError: as :func:`~aios3sync.sync.setup.run_sync`.
    """
    if request.endpoint != plan.endpoint:
        raise UsageError(
            f"the plan was made for the endpoint {plan.endpoint}, and this is {request.endpoint}; "
            "make it again"
        )
    plan.due = plan.without_actions() if request.options.dry_run else None
    check = PlanCheck(plan, plan.due)
    try:
        await check.open()
        return await run(request, replace(resources, gate=check))
    finally:
        await check.close()
