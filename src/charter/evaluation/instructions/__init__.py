"""Instructions that can be checked: whether answers keep to what a prompt asks of their form, as IFEval asks it."""

from charter.evaluation.instructions.constraints import CONSTRAINTS, Constraint, Instruction, read_instruction
from charter.evaluation.instructions.language import LANGUAGES, language_of
from charter.evaluation.instructions.rows import InstructionRow, load_instructions
from charter.evaluation.instructions.scoring import Outcome, measure_instructions, score_answer

__all__ = [
    "CONSTRAINTS",
    "LANGUAGES",
    "Constraint",
    "Instruction",
    "InstructionRow",
    "Outcome",
    "language_of",
    "load_instructions",
    "measure_instructions",
    "read_instruction",
    "score_answer",
]
