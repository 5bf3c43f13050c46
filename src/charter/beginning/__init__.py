"""A first recipe, and a first constitution, from a few answers."""

from charter.beginning.answers import Answers
from charter.beginning.folder import Begun, begin, require_free
from charter.beginning.questions import Question, questions, settle

__all__ = ["Answers", "Begun", "Question", "begin", "questions", "require_free", "settle"]
