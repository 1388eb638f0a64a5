"""A language model that answers from a list: for tests, documentation and replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gco_agent.core.errors import ModelError
from gco_agent.core.records import Usage
from gco_agent.llm.base import Completion, ModelRequest
from gco_agent.llm.prices import FREE, Price, priced

_CHARACTERS_PER_TOKEN = 4


class ScriptedModel:
    """Answers from a list, in order.

    Args:
        script: A `Completion` is returned as it is, a text as the text of one, and an exception is
            raised.
        name: Name of the model.
        price: Price of its tokens.

    Attributes:
        requests: The requests so far, oldest first.
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
        """Return the next answer of the script.

        Raises:
            ModelError: The script is over. Exceptions of the script are raised as they are.
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
        asked = len(request.system) + len(request.cached) + len(request.user)
        usage = Usage(
            asked // _CHARACTERS_PER_TOKEN, output_tokens=len(answer) // _CHARACTERS_PER_TOKEN
        )
        return Completion(answer, usage=priced(usage, self.price), model=self.name)
