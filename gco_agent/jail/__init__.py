"""The jail: a policy's text runs in a sealed process, and only actions come out.

The judge keeps the emulator, the seeds and the score. Only observations cross to a worker process,
and only actions come back. A worker is forked from a zygote that was started with an empty
environment and has imported all that a policy may use; it seals itself, tries what the seal
forbids, reports, and only then gets the policy's text.

What the seal stops, each line with hostile policies of that name in tests/jail/hostile:

* files        none can be opened, read, listed, changed, made, removed or asked about
* network      no socket of any family, no name looked up
* processes    no process, no thread, no program started; neither whether there is another process
               nor its processor time is told
* signals      none to anybody else; the one that asks for a traceback cannot be caught
* memory       that of other processes is out of reach; its own has a limit
* kernel       bpf, io_uring, keys, namespaces and the like end the process; memory cannot be merged
               with that of others, or be sent out
* code         no memory becomes executable that was not so before
* privileges   none can be had, and no limit lifted
* environment  no variable, key or command line of the judge's is there to be read
* descriptors  two pipes and two small files of its own; none can be made, copied, mapped or closed
* loops        in Python and in C; sleeping is no excuse: a traceback, then the end. Slow steps
               have a limit together, and so have all steps of an episode
* output       what is printed is kept up to a limit and cannot reach the protocol
* recursion    ends in an exception or in the end of that process alone
* replies      only actions in range get through, and only with the random number of their command;
               forged, early, slow or endless ones end the process, or harm its own actions alone
* recording    what is recorded of calls is data of a strict form with limits, and escaped
* text         of errors and prints is escaped and cut, with all that nobody sees, and a traceback
               is made by the judge
* observation  a policy may keep and change what it is given; nobody else sees that
* emulator     no emulator, no environment library, nothing of ours can be imported
* leftovers    no shared memory, queue, lock or file stays behind

What it does not stop:

* a fault of the kernel in the two dozen system calls that are allowed, or of the processor
* a look at itself: where Python is installed on this machine, which process it is, how many lanes
  play and whether its calls are recorded stand in its own memory, and code that calls the kernel
  itself gets the real clock and real chance. So what must not be told apart (races and reports)
  has to be played with the same lanes and limits
* a guess at the episode: its random numbers and observations follow from the episode's seed, so a
  policy that has seen a seed before can recognise it
* a policy that mutes its own traceback: it is ended all the same
* side channels: how long a step takes, what the caches do
* lanes of one jail that want to talk: they share an interpreter. Play with one lane, and a fresh
  jail for each episode, where a score must be beyond doubt
* a policy that brings its own model of the game: it has the processor time it is granted

That is level ``strong``. At ``medium`` (no system-call filter) files, sockets and processes are
refused, and facts about files, machine code and odd corners of the kernel are not. At ``basic`` (a
kernel that offers nothing) there is a separate process, an empty environment, the deadline, and
Python's audit hook: this stops accidents, not attackers, because code can switch the hook off and
then has all the rights of the user. Do not run text there that you have not read. Other systems
than Linux have no jail.
"""

from gco_agent.jail.host import Jail, probe_level
from gco_agent.jail.limits import JailLevel, JailLimits, JailReport, Layer, PolicyFailure
from gco_agent.jail.wire import ObjectRows

__all__ = [
    "Jail",
    "JailLevel",
    "JailLimits",
    "JailReport",
    "Layer",
    "ObjectRows",
    "PolicyFailure",
    "probe_level",
]
