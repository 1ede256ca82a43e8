"""`inspector filter` and `inspector export`: what is kept and why; the same scores elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pandas
import pytest

from inspector_plugin.cli.main import main
from inspector_plugin.judges.prompt.prompts import prompts_fingerprint
from inspector_plugin.schema import CriterionScore, Judgement, unscored
from inspector_plugin.schema.criteria import BINARY, MULTICLASS
from inspector_plugin.schema.criteria_files import parse_criteria


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scored(value: float, sure: float | None = None, *flags: str) -> CriterionScore:
    label = round(value)
    chances = None
    if sure is not None:
        chances = dict.fromkeys(MULTICLASS.labels, (1 - sure) / 4) | {label: sure}
    return CriterionScore(value, label, chances, flags=flags, scale=MULTICLASS)


def missing(reason: str) -> CriterionScore:
    return unscored(reason)


def write(path: str, *rows: dict[str, Any]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def row(name: str, **more: Any) -> dict[str, Any]:
    judgements = more.pop("judgements")
    made = {
        judge: Judgement({**scores}).to_json() if isinstance(scores, dict) else scores
        for judge, scores in judgements.items()
    }
    return {"id": name, "question": f"q {name}", "response": name, **more, "judgements": made}


def one(name: str, score: CriterionScore, **more: Any) -> dict[str, Any]:
    return row(name, judgements={"j": {"fluency": score}}, **more)


ROWS = [
    one("a", scored(3.0, 0.9)),
    one("b", scored(5.0, 0.3)),
    one("c", scored(4.0, 0.8)),
    one("d", missing("the response is empty")),
    one("e", scored(5.0, 0.9, "off-task")),
    one("f", scored(4.0, 0.8)),
    one("g", scored(4.0)),
    one("h", scored(1.0, 0.9, "truncated", "off-task")),
    one("i", missing("no answer")),
    one("j", scored(2.0, 0.9)),
]


def kept(*arguments: str, file: str = "in.jsonl") -> list[str]:
    main(["filter", file, "--out", "out.jsonl", "--overwrite", *arguments])
    return [json.loads(line)["id"] for line in Path("out.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), "abcefghj"),
        (("--top", "0.2"), "be"),
        (("--top", "0.3"), "bce"),  # c, f and g are equal: the first of them
        (("--top", "0.25"), "bce"),  # 2.5 rows
        (("--top", "0.01"), ""),
        (("--top", "1"), "abcefghj"),
        (("--drop-flagged", "--top", "0.2"), "bc"),
        (("--drop-flagged=truncated", "--top", "0.2"), "be"),
        (("--drop-flagged=truncated",), "abcefgj"),
        (("--drop-flagged=other,off-task",), "abcfgj"),
        (("--min-confidence", "0.8"), "acefhj"),
        (("--by", "fluency", "--top", "0.1"), "b"),
    ],
)
def test_the_best_rows_are_kept_in_their_order(arguments: tuple[str, ...], names: str) -> None:
    write("in.jsonl", *ROWS)
    assert kept(*arguments) == list(names)


def test_every_dropped_row_is_counted_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    write("in.jsonl", *ROWS)
    kept("--top", "0.2", "--drop-flagged", "--min-confidence", "0.5")
    printed = capsys.readouterr().out
    counts = {
        line.rsplit(maxsplit=1)[0].strip(): line.split()[-1]
        for line in printed.splitlines()
        if line
    }
    expected = {
        "flagged off-task": "1",
        "flagged truncated, off-task": "1",
        "unscored on fluency: the response is empty": "1",
        "unscored on fluency: no answer": "1",
        "confidence below 0.5": "1",
        "no probability of the label on fluency": "1",
        "below the best": "2",
    }  # of ten rows c and f are kept
    assert {name: counts.get(name) for name in expected} == expected
    assert "2 of 10 rows kept by the scores of j; the lowest score kept is 4" in printed
    kept("--top", "0.3")
    assert "as good as the last one kept, but later in the file" in capsys.readouterr().out


def test_a_flag_that_no_score_has_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    write("in.jsonl", *ROWS)
    kept("--drop-flagged=other,off-task")
    said = [line for line in capsys.readouterr().err.splitlines() if "no score has" in line]
    assert said == ["inspector: --drop-flagged: no score has the flag other"]
    kept("--drop-flagged")
    assert "no score has" not in capsys.readouterr().err


def test_a_total_needs_every_score_and_one_scale(capsys: pytest.CaptureFixture[str]) -> None:
    both = {"fluency": scored(2.0), "logicality": scored(3.0)}
    partly = {"fluency": scored(5.0), "logicality": missing("no idea")}
    best = {"fluency": scored(1.0), "logicality": scored(5.0)}
    write(
        "in.jsonl",
        *(row(n, judgements={"j": s}) for n, s in zip("abc", (both, partly, best), strict=True)),
    )
    assert kept("--top", "0.34") == ["c"]
    assert "unscored on logicality: no idea" in capsys.readouterr().out
    assert kept("--top", "0.34", "--by", "fluency") == ["b"]
    mixed = {"fluency": scored(2.0), "answered": CriterionScore(1.0, 1, scale=BINARY)}
    write("in.jsonl", row("a", judgements={"j": mixed}))
    kept()
    assert "different scales, so that there is no total; choose one" in capsys.readouterr().err
    assert kept("--by", "answered") == ["a"]


def test_whether_a_solution_is_right_is_not_part_of_a_total() -> None:
    def both(fluent: float, right: float) -> dict[str, CriterionScore]:
        fluency = CriterionScore(fluent, round(fluent), scale=BINARY)
        return {"fluency": fluency, "correctness": CriterionScore(right, 1, scale=BINARY)}

    write(
        "in.jsonl",
        row("a", judgements={"j": both(0.6, 1.0)}),
        row("b", judgements={"j": both(0.7, 0.6)}),
    )
    assert kept("--top", "0.5") == ["b"]
    assert kept("--top", "0.5", "--by", "correctness") == ["a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "There are scores by j, k; say whose to take with --judge NAME"),
        (("--judge", "x"), "Unknown judge 'x'"),
        (("--judge", "j", "--by", "style"), "Unknown criterion 'style'"),
        (("--judge", "j", "--min-confidence", "0.5"), "gives no probabilities"),
    ],
)
def test_a_filter_that_cannot_be_applied(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    scores = {"fluency": scored(2.0)}
    write("in.jsonl", row("a", judgements={"j": scores, "k": scores}))
    assert main(["filter", "in.jsonl", "--out", "out.jsonl", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("out.jsonl").exists()


def test_nothing_kept_is_an_error_and_scores_by_people_are_no_rows() -> None:
    write("in.jsonl", one("a", missing("no answer")))
    assert main(["filter", "in.jsonl", "--out", "out.jsonl"]) == 1
    short = {"question": "q", "response": "r", "criterion": "fluency", "score": 4}
    write("short.jsonl", short)
    assert main(["filter", "short.jsonl", "--out", "o.jsonl"]) == 1
    assert main(["filter", "in.jsonl", "--out", "in.jsonl"]) == 1
    for top in ("0", "1.1", "nan", "all"):
        with pytest.raises(SystemExit):
            main(["filter", "in.jsonl", "--out", "out.jsonl", "--top", top])


# --- export --------------------------------------------------------------------------------------

HOSTILE = '=HYPERLINK("x"),\n<script>"\u202e'


def export(*arguments: str, out: str = "out", file: str = "in.jsonl") -> int:
    return main(["export", file, "--out", out, "--overwrite", *arguments])


def write_mixed() -> None:
    scores = {"fluency": scored(4.0, 0.6, "long", "odd"), "logicality": missing("no idea")}
    write(
        "in.jsonl",
        row("1", judgements={"j": scores}, n=1, mixed="text", tags=["a"], ok=True),
        row("2", judgements={"j": scores, "k": {"fluency": scored(2.5)}}, n=2.5, mixed=7),
        {**row("3", judgements={"j": scores}), "response": HOSTILE, "huge": 2**70},
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_wide_tables(form: str) -> None:
    write_mixed()
    assert export("--format", form) == 0
    frame = pandas.read_csv("out") if form == "csv" else pandas.read_parquet("out")
    assert frame["response"].tolist() == ["1", "2", HOSTILE]
    assert frame["j.fluency"].tolist() == [4.0, 4.0, 4.0]
    assert frame["j.fluency.label"].tolist() == [4, 4, 4]
    assert frame["j.fluency.confidence"].tolist() == [0.6] * 3
    assert frame["j.fluency.flags"].tolist() == ["long, odd"] * 3
    assert frame["j.logicality.reason"].tolist() == ["no idea"] * 3
    assert frame["j.logicality"].isna().all()
    assert frame["j.total"].isna().all()
    assert frame["k.fluency"].isna().tolist() == [True, False, True]
    assert frame["n"].tolist()[:2] == [1.0, 2.5]
    assert frame["mixed"].tolist()[:2] == ["text", "7"]
    assert frame["tags"][0] == '["a"]'
    assert str(frame["huge"][2]) in (str(2**70), str(float(2**70)))
    if form == "parquet":
        assert frame["ok"].tolist()[0] is True


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_long_tables(form: str) -> None:
    write_mixed()
    assert export("--format", form, "--layout", "long") == 0
    frame = pandas.read_csv("out") if form == "csv" else pandas.read_parquet("out")
    assert len(frame) == 7
    scores = frame[frame["criterion"] == "fluency"]
    assert list(zip(scores["row"], scores["judge"], scores["score"], strict=True)) == [
        (1, "j", 4.0), (2, "j", 4.0), (2, "k", 2.5), (3, "j", 4.0)
    ]  # fmt: skip
    assert scores["scale_maximum"].tolist() == [5] * 4


def test_cells_that_a_spreadsheet_would_run_and_texts_that_are_no_unicode(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("in.jsonl", one("a", scored(4.0), note="-1+2"), one("b", scored(4.0), note="\ud800"))
    assert export("--format", "csv", "--spreadsheet") == 0
    assert pandas.read_csv("out")["note"].tolist() == ["'-1+2", "\ufffd"]
    assert "invalid Unicode in 1 text; written with U+FFFD" in capsys.readouterr().err
    assert export("--format", "parquet") == 0
    assert pandas.read_parquet("out")["note"].tolist() == ["-1+2", "\ufffd"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "csv"), "in.jsonl exists: pass --overwrite"),
        (("--format", "csv", "--model", "m"), "--model is not for --format csv"),
        (("--format", "every-eval-ever", "--layout", "long"), "--layout is not for --format"),
        (("--format", "parquet", "--spreadsheet"), "--spreadsheet is not for --format parquet"),
    ],
)
def test_exports_that_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    write_mixed()
    Path("out.csv").touch()
    assert main(["export", "in.jsonl", "--out", "out.csv", *arguments]) == 1
    assert message.replace("in.jsonl", "out.csv") in capsys.readouterr().err
    assert Path("out.csv").read_bytes() == b""


def test_files_without_judgements_are_not_exported(capsys: pytest.CaptureFixture[str]) -> None:
    write("in.jsonl", {"question": "q", "response": "r"})
    assert export("--format", "csv") == 1
    assert "line 1: there are no judgements" in capsys.readouterr().err
    write("in.jsonl", {**one("a", scored(4.0)), "j.fluency": 1})
    assert export("--format", "csv") == 1
    assert "has a field 'j.fluency', as a column of scores is called" in capsys.readouterr().err
    assert export("--format", "csv", "--layout", "long") == 0


# --- Every Eval Ever -----------------------------------------------------------------------------

# What version 0.3.0 of its schema requires of an aggregate log, as far as it concerns us.
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
MODEL = {
    "required": ["name", "id", "additional_details"],
    "properties": {
        "additional_details": {**TEXTS, "required": ["deployment_type", "model_availability"]}
    },
}
RESULT = {
    "required": ["evaluation_name", "source_data", "metric_config", "score_details"],
    "properties": {
        "source_data": {"required": ["dataset_name", "source_type"]},
        "metric_config": {
            "required": ["lower_is_better", "min_score", "max_score"],
            "properties": {
                "llm_scoring": {
                    "required": ["judges", "input_prompt"],
                    "properties": {
                        "input_prompt": {"type": "string"},
                        "judges": {
                            "minItems": 1,
                            "items": {
                                "required": ["model_info"],
                                "properties": {"model_info": MODEL, "additional_details": TEXTS},
                            },
                        },
                    },
                }
            },
        },
        "score_details": {
            "required": ["score"],
            "properties": {"score": {"type": "number"}, "details": TEXTS},
        },
    },
}
LOG = {
    "required": [
        "schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata",
        "model_info", "eval_library", "evaluation_results",
    ],
    "additionalProperties": False,
    "properties": {
        "schema_version": {"const": "0.3.0"},
        "evaluation_id": {"type": "string"},
        "retrieved_timestamp": {"type": "string", "pattern": "^[0-9]+$"},
        "eval_library": {"required": ["name", "version"]},
        "source_metadata": {
            "required": ["source_type", "source_organization_name", "evaluator_relationship"]
        },
        "model_info": MODEL,
        "evaluation_results": {"items": RESULT},
    },
}  # fmt: skip


def check_log(log: dict[str, Any]) -> None:
    jsonschema.validate(log, LOG)
    try:
        from every_eval_ever.schema import schema_json  # it needs Python 3.12
    except ImportError:
        return
    jsonschema.validate(log, schema_json())


def write_run(made_of: dict[str, Any]) -> None:
    write(
        "in.jsonl",
        one("a", scored(4.0), model="org/m", task="gsm8k", dataset="gsm8k"),
        one("b", scored(2.0), model="org/m", task="gsm8k", dataset="gsm8k"),
        one("c", missing("no answer"), model="org/m", task="gsm8k", dataset="gsm8k"),
    )
    made_by = {
        "criteria": [each.to_json() for each in parse_criteria("fluency")],
        "judges": {"j": {"spec": "prompt:model=gpt-x", "made_of": made_of}},
    }
    Path("in.jsonl.run.json").write_text(json.dumps(made_by))


PUBLISHER = ("--organization", "Us", "--relationship", "third_party")


def test_every_eval_ever() -> None:
    write_run({"model": "gpt-x", "mode": "per-criterion", "prompts": prompts_fingerprint()})
    assert export("--format", "every-eval-ever", *PUBLISHER) == 0
    log = json.loads(Path("out").read_text())
    check_log(log)
    assert log["model_info"]["id"] == "org/m"
    (result,) = log["evaluation_results"]
    assert result["score_details"]["score"] == 3.0
    assert result["score_details"]["uncertainty"] == {
        "num_samples": 2,
        "standard_error": {"value": 1.0, "method": "analytic"},
    }
    assert result["score_details"]["details"]["responses"] == "3"
    assert result["source_data"]["hf_repo"] == "openai/gsm8k"
    scoring = result["metric_config"]["llm_scoring"]
    assert scoring["judges"][0]["model_info"]["name"] == "gpt-x"
    assert "{question}" in scoring["input_prompt"]
    assert "{response}" in scoring["input_prompt"]
    assert parse_criteria("fluency")[0].definition in scoring["input_prompt"]


def test_what_every_eval_ever_asks_for_and_is_missing_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_run({"prompts": "of another version"})
    assert export("--format", "every-eval-ever") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for named in ("--organization", "--relationship", "--judge-model", "--input-prompt"):
        assert named in error
    assert "--dataset" not in error
    assert not Path("out").exists()
    Path("prompt.txt").write_text("Score {response}.")
    given = (*PUBLISHER, "--judge-model", "lm", "--input-prompt", "prompt.txt")
    assert export("--format", "every-eval-ever", *given, "--model", "hub/name") == 0
    log = json.loads(Path("out").read_text())
    check_log(log)
    assert log["model_info"]["id"] == "hub/name"  # the one model's name on the hub
    (result,) = log["evaluation_results"]
    assert result["metric_config"]["llm_scoring"]["input_prompt"] == "Score {response}."


def test_a_log_of_every_eval_ever_is_of_one_model(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [one(n, scored(s), model=m, task="t") for n, s, m in (("a", 1, "x"), ("b", 5, "y"))]
    write("in.jsonl", *rows)
    Path("prompt.txt").write_text("Score it.")
    given = (*PUBLISHER, "--judge-model", "lm", "--input-prompt", "prompt.txt")
    assert export("--format", "every-eval-ever", *given) == 1
    assert "by several models, and a log is of one; choose with --model: x, y" in (
        capsys.readouterr().err
    )
    assert export("--format", "every-eval-ever", *given, "--model", "y") == 0
    log = json.loads(Path("out").read_text())
    assert log["evaluation_results"][0]["score_details"]["score"] == 5
    assert log["model_info"]["name"] == "y"
    assert export("--format", "every-eval-ever", *given, "--model", "z") == 1
