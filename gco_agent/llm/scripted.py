"""A language model that says what it was told to: for tests, documentation and replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gco_agent.core.errors import ModelError
from gco_agent.core.records import Usage
from gco_agent.llm.base import Completion, ModelRequest
from gco_agent.llm.prices import FREE, Price

_CHARACTERS_A_TOKEN = 4


class ScriptedModel:
    """Answers from a list, in its order.

    Args:
        script: A `Completion` is given back as it is, a text as the text of one, and an
            exception is raised.
        name: What it calls itself.
        price: What it says that its tokens cost.

    Attributes:
        requests: What it was asked, oldest first.
    """

    def __init__(
        self,
        script: Iterable[str | Completion | Exception],
        *,
        name: str = "scripted",
        price: Price | None = FREE,
    ) -> None:
        self._script: Iterator[str | Completion | Exception] = iter(script)
        self.name, self.price = name, price
        self.requests: list[ModelRequest] = []

    def complete(self, request: ModelRequest) -> Completion:
        """The next answer of the script.

        Raises:
            ModelError: The script is over. Whatever the script raises is raised as it is.
        """
        self.requests.append(request)
        answer = next(self._script, None)
        if answer is None:
            n = len(self.requests) - 1
            raise ModelError(f"the script of the model {self.name!r} has no answer after {n}")
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Completion):
            return answer
        return Completion(answer, usage=self._usage(request, answer), model=self.name)

    def _usage(self, request: ModelRequest, answer: str) -> Usage:
        """A rough count, so that what adds up usage has something to add."""
        asked = len(request.system) + len(request.cached) + len(request.user)
        usage = Usage(
            asked // _CHARACTERS_A_TOKEN, output_tokens=len(answer) // _CHARACTERS_A_TOKEN
        )
        return usage if self.price is None else self.price.priced(usage)
