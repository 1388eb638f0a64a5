"""Which Python modules may run outside of the jail because a run or a policy file names them.

An environment of one's own is a module, and whoever names one in ``run.toml`` or in a docstring has
it imported: with all the rights of the user, whatever the jail does. A person who types the name
has decided that; a branch or a file from somebody else has not. What was decided is kept in git's
own configuration, which no clone, fetch or checkout brings along.
"""

from __future__ import annotations

from gco_agent.errors import UsageError
from gco_agent.store.git import GitRepo

KEY = "gco-agent.trust"


def module_in(env_id: str) -> str | None:
    """The module, or the file, that an environment's id has imported; None where there is none."""
    if env_id.endswith(".py"):
        return env_id
    module, colon, _ = env_id.partition(":")
    return module if colon else None


def trust(repo: GitRepo, env_id: str) -> None:
    """Note that the module of an environment was named by a person.

    Raises:
        StoreError: Git cannot write its configuration.
    """
    module = module_in(env_id)
    if module is not None and module not in _trusted(repo):
        repo.run("config", "--local", "--add", KEY, module)


def require_trusted(repo: GitRepo | None, env_id: str, where: str, instead: str = "") -> None:
    """Refuse to import code that only a run or a file asks for.

    Args:
        repo: Whose configuration says what may be; None where there is no repository.
        env_id: Of the environment.
        where: What names it.
        instead: Another way to say that it may be.

    Raises:
        UsageError: Its module is not among those.
    """
    module = module_in(env_id)
    if module is None or (repo is not None and module in _trusted(repo)):
        return
    ways = [f"`git config --add {KEY} {module}`"] if repo is not None else []
    raise UsageError(
        f"{where} plays {env_id}, an environment in the Python module {module}, which would run "
        "outside of the jail, with all your rights. If you know it and want that, say so: "
        + ", or ".join([*ways, *([instead] if instead else [])])
    )


def _trusted(repo: GitRepo) -> list[str]:
    return repo.attempt("config", "--get-all", KEY).text.split("\n")
