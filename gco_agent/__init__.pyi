# The public names of the package, and the module of each; read when one is first used.
__all__: list[str]
__version__: str
from gco_agent.api import Iteration as Iteration
from gco_agent.api import Run as Run
from gco_agent.api import compare as compare
from gco_agent.api import dashboard as dashboard
from gco_agent.api import evaluate as evaluate
from gco_agent.api import open_run as open_run
from gco_agent.api import run as run
from gco_agent.api import train_ppo as train_ppo
from gco_agent.api import write_report as write_report
from gco_agent.core.errors import GcoError as GcoError
from gco_agent.core.events import Committed as Committed
from gco_agent.core.events import Event as Event
from gco_agent.core.events import Playing as Playing
from gco_agent.core.events import Racing as Racing
from gco_agent.core.events import Searching as Searching
from gco_agent.core.observation import ObjectBox as ObjectBox
from gco_agent.core.observation import Observation as Observation
from gco_agent.core.records import EpisodeResult as EpisodeResult
from gco_agent.core.records import Evaluation as Evaluation
from gco_agent.core.records import Outcome as Outcome
from gco_agent.core.records import PlayProtocol as PlayProtocol
from gco_agent.core.seeds import Stream as Stream
from gco_agent.envs.environment import make_protocol as make_protocol
from gco_agent.envs.objects import ObjectObservation as ObjectObservation
from gco_agent.games.spec import GameSpec as GameSpec
from gco_agent.optimizers.base import Capabilities as Capabilities
from gco_agent.optimizers.base import Optimizer as Optimizer
from gco_agent.optimizers.base import Proposal as Proposal
from gco_agent.optimizers.base import Request as Request
from gco_agent.policy.contract import check_policy as check_policy
from gco_agent.policy.contract import load_policy as load_policy
from gco_agent.policy.source import PolicySource as PolicySource
from gco_agent.store.view import read_policy as read_policy
