"""Every error that Charter raises, in one tree.

```
CharterError                      anything of ours; the command prints its message, never a traceback
├── UserError                     what was given is wrong and the person can put it right; exit code 2
│   ├── RecipeError               a recipe: unknown key, wrong value, contradiction
│   ├── ConstitutionError         a constitution file
│   ├── PromptError               a file of prompts, or of rows that a user brings
│   ├── ModelError                a model that does not exist, cannot be loaded or must not be
│   ├── RunError                  a run folder: of another recipe, incomplete, unwritable
│   │   └── Busy                  a run folder in which somebody else is at work
│   ├── ClusterError              a Ray cluster: not there, without what is asked for, or its actors were lost
│   └── JournalError              a run's records: damaged, or not to be read or written
├── EngineError                   a call to a model failed; retried or counted, never turned into a value
│   ├── CapabilityError           the engine cannot do what the stage asks of it
│   └── Unanswered                a server that is slow or busy gave no answer within all tries
│       └── Unreachable           nothing ever answered where a server should be; exit code 2
├── BudgetSpent                   calls to servers came to what the recipe allows; it can be raised: exit code 2
├── TooManyFailures               a stage passed its limit of failed rows
├── Collapsed                     a training whose answers degenerated, so its guard, or whose loss did; exit code 2
├── TrainingEnded                 a process of a training ended before it; the run can be continued
└── Interrupted                   stopped by Ctrl-C or SIGTERM; the run can be continued
```

A message says what is wrong, the value, what was expected and what to do.
"""

from __future__ import annotations


class CharterError(Exception):
    """Anything that Charter raises on purpose."""

    exit_code = 1


class UserError(CharterError):
    """What was given is wrong, and the person who gave it can put it right."""

    exit_code = 2


class RecipeError(UserError):
    """A recipe is malformed or contradicts itself."""


class ConstitutionError(UserError):
    """A constitution file is malformed."""


class PromptError(UserError):
    """A file of prompts, or of rows that a user brings, is empty or malformed."""


class ModelError(UserError):
    """A model does not exist, cannot be loaded, or must not be."""


class RunError(UserError):
    """A run folder belongs to another recipe, is locked, incomplete or unwritable."""


class Busy(RunError):  # noqa: N818 - reads as what the folder is
    """Another process is at work in a run folder."""


class ClusterError(UserError):
    """A Ray cluster is not there, has not what is asked of it, or its actors were lost."""


class JournalError(UserError):
    """A run's records are damaged, or cannot be read or written."""


class EngineError(CharterError):
    """A call to a model failed."""


class CapabilityError(EngineError):
    """The engine cannot do what was asked of it."""


class Unanswered(EngineError):  # noqa: N818 - reads as what the call is
    """A server that is slow, busy or gone gave no answer within all tries of a call."""


class Unreachable(Unanswered):
    """Nothing ever answered where a server should be."""

    exit_code = 2


class TooManyFailures(CharterError):  # noqa: N818 - reads as what happened
    """A stage passed its limit of failed rows."""


class Collapsed(CharterError):  # noqa: N818 - reads as what happened
    """A training is worth nothing any more: its guard says so of the answers, or its loss is no number."""

    exit_code = 2


class TrainingEnded(CharterError):  # noqa: N818 - reads as what happened
    """A process of a training ended before the training did."""


class BudgetSpent(CharterError):  # noqa: N818 - reads as what happened
    """Calls to servers came to what the recipe allows."""

    exit_code = 2


class Interrupted(CharterError):  # noqa: N818 - reads as what happened
    """The run was stopped by the person or the system, and can be continued."""

    exit_code = 130
