"""How probes read questions with options: in the form that they were trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_embedded import needs_model
from tiny_probes import make_probe

from inspector_plugin.data.problems import problem_key
from inspector_plugin.judges.inspector.layout import layout_for
from inspector_plugin.judges.inspector.pack_folders import pack_folder
from inspector_plugin.judges.inspector.packs import write_probe
from inspector_plugin.judges.inspector.plan import TrainingPlan
from inspector_plugin.judges.inspector.question_forms import QUESTION_FORMS
from inspector_plugin.judges.inspector.training import card_head
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import ROSCOE, JudgeRequest

LETTERED = (
    "Which of these lamps needs no mains?\n(A) a torch\n(B) a chandelier\n(C) a sign\n(D) none"
)
TRAINED = (
    "Which of these lamps needs no mains? Put the final answer in \\boxed{}.\n"
    "a torch\na chandelier\na sign\nnone"
)


@pytest.mark.parametrize(
    ("question", "form"),
    [
        (LETTERED, TRAINED),
        # Options of several lines, and one that is empty.
        (
            "Pick a table.\n(A) 1 2\n3 4\n(B) 1 2\n\n3 5\n(C) \n(D) x\n",
            "Pick a table. Put the final answer in \\boxed{}.\n1 2\n3 4\n1 2\n\n3 5\n\nx\n",
        ),
        # A list in the question is not its options.
        (
            "Rules:\n(A) be brief\n(B) be right\nWhich counts?\n(A) a\n(B) b\n(C) c\n(D) d",
            "Rules:\n(A) be brief\n(B) be right\nWhich counts? Put the final answer in \\boxed{}."
            "\na\nb\nc\nd",
        ),
    ],
)
def test_lettered_options_become_the_form_trained_on(question: str, form: str) -> None:
    assert QUESTION_FORMS["gpqa"](question) == form


@pytest.mark.parametrize(
    "question",
    [
        TRAINED,
        "How many lamps are on?",
        "Which?\n(A) yes\n(B) no",
        "Which?\n(A) a\n(C) c\n(B) b\n(D) d",
        "Which? (A) a (B) b (C) c (D) d",
        "Which?\n(B) b\n(C) c\n(D) d",
        "",
    ],
)
def test_other_questions_are_left_alone(question: str) -> None:
    assert QUESTION_FORMS["gpqa"](question) == question


def test_only_the_probes_of_that_data_set_read_questions_so() -> None:
    request = JudgeRequest(LETTERED, "A torch.")
    for dataset, question in (("gpqa", TRAINED), ("gsm8k", LETTERED), ("mine", LETTERED)):
        layout = layout_for("bare", ROSCOE[0], dataset)
        assert [segment.text for segment in layout.segments(request)] == [
            question,
            "\n\n",
            "A torch.",
        ]


def test_the_problem_is_known_again_in_either_form(tmp_path: Path, tiny_lm: Path) -> None:
    """The key in a card is that of the question as it was trained on."""
    lm, plan = load_language_model(str(tiny_lm)), TrainingPlan("gpqa")
    probe = make_probe(lm, ROSCOE[0], plan, seed=0)
    probe = replace(probe, record={**probe.record, "problem_keys": [problem_key(TRAINED)]})
    assert problem_key(TRAINED) != problem_key(LETTERED)
    write_probe(
        pack_folder(tmp_path, lm.name, "gpqa", "multiclass"), card_head(lm, plan, ""), probe
    )
    judge = create_judge(f"inspector:probes={tmp_path},dataset=gpqa")
    shuffled = LETTERED.replace("a torch", "a sign", 1).replace("(C) a sign", "(C) a torch")
    other = LETTERED.replace("mains", "cable")
    requests = [JudgeRequest(q, "A torch.") for q in (LETTERED, TRAINED, shuffled, other)]
    judged = judge_all(judge, [replace(r, criteria=ROSCOE[:1]) for r in requests], progress=False)
    scores = [judgement.scores["semantic_consistency"] for judgement in judged]
    assert [score.flags for score in scores] == [("trained-on",)] * 3 + [()]
    assert scores[0] == scores[1]
    assert scores[0].score != scores[3].score


@needs_model
@pytest.mark.parametrize("labels", ["multiclass", "binary"])
def test_the_shipped_probes_give_both_forms_the_same_scores(labels: str) -> None:
    judge = create_judge(f"inspector:dataset=gpqa,labels={labels}")
    response = "Only a torch has a battery, so the answer is a torch."
    plain = LETTERED.partition("\n")[0]
    requests = [JudgeRequest(question, response) for question in (LETTERED, TRAINED, plain)]
    lettered, trained, other = judge_all(judge, requests, progress=False)
    assert lettered == trained
    assert lettered.total is not None
    assert lettered != other
