from __future__ import annotations

import pytest

from dfgen.grade import extract_answer

STATED = [
    (r"so \boxed{5}.", "5", "boxed"),
    (r"\boxed{1} then \boxed{2}", "2", "boxed"),
    (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}", "boxed"),
    (r"\fbox{A}", "A", "boxed"),
    (r"\boxed {7}", "7", "boxed"),
    (r"\boxed 7", "7", "boxed"),
    (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
    (r"\\boxed{4}", "4", "boxed"),
    (r"\boxed{\boxed{3}}", "3", "boxed"),
    ("cut off: \\boxed{12", "12", "boxed"),
    ("cut off: \\boxed{12$ and more\nnext", "12", "boxed"),
    (r"5 \boxed{.} \boxed{}", r"5 \boxed{.} \boxed{}", "whole_text"),
    ("<answer>Paris</answer>", "Paris", "answer_tag"),
    ("<ANSWER> a </Answer> <answer>b</answer>", "b", "answer_tag"),
    ("<answer>unclosed", "unclosed", "answer_tag"),
    ("<final_answer>9</final_answer>", "9", "answer_tag"),
    (r"<answer>\boxed{6}</answer>", "6", "boxed"),
    ("<answer>The answer is 6.</answer>", "6", "answer_tag"),
    ("Answer: 42", "42", "answer_line"),
    ("**Answer:** 42", "42", "answer_line"),
    ("**Answer**: **42**", "42", "answer_line"),
    ("Answer - 42", "42", "answer_line"),
    ("The answer is 3.14. Because of reasons.", "3.14", "answer_line"),
    ("The answer is approx. 5 cm. Yes.", "approx. 5 cm", "answer_line"),
    ("the final answer to the question is **blue**!", "blue", "answer_line"),
    ("The correct option is B.", "B", "answer_line"),
    ("The answer is: the red one.\nGood luck", "the red one", "answer_line"),
    ("### Final Answer\n\n7 cats", "7 cats", "answer_line"),
    ("**Final Answer:**\n$$\n\\frac{1}{2}\n$$", "$$\n\\frac{1}{2}\n$$", "answer_line"),
    ("Final answer: x = 4", "x = 4", "answer_line"),
    ("The answer is not 5.\nThe answer is 6.", "6", "answer_line"),
    ("The answer is 6.\nThe answer is not 5.", "6", "answer_line"),
    ("Answer: 1\nAnswer: 2", "2", "answer_line"),
    (r"\boxed{3} and so the answer is clear.", "3", "boxed"),
    ("<think>The answer is 1. \\boxed{1}</think>The answer is 2.", "2", "answer_line"),
    ("The template opened it </think> blue", "blue", "whole_text"),
    ("<think>The answer is 1.</think>\n ", "1", "answer_line"),
    ("<think>never closed. The answer is 8.", "8", "answer_line"),
    ("◁think▷one◁/think▷two", "two", "whole_text"),
    ("  yes  ", "yes", "whole_text"),
    ("First I look.\nThen I see.\nA dog", "A dog", "whole_text"),
    ("", None, "none"),
    (" \n ", None, "none"),
]


@pytest.mark.parametrize(("completion", "text", "method"), STATED)
def test_what_is_the_answer(completion: str, text: str | None, method: str) -> None:
    found = extract_answer(completion)
    assert (found.text, found.method) == (text, method)
    if found.span is None:
        assert text is None
    else:
        assert completion[slice(*found.span)] == text


LANGUAGES = [
    ("Die Antwort ist 5.", "5"),
    ("Die Antwort lautet: rot", "rot"),
    ("Endgültige Antwort: 7", "7"),
    ("**Lösung:** 8 cm", "8 cm"),
    ("La réponse est donc 5.", "5"),
    ("Réponse finale : bleu", "bleu"),
    ("La respuesta es 5.", "5"),
    ("Respuesta final: azul", "azul"),
    ("La risposta è 5.", "5"),
    ("A resposta é 5.", "5"),
    ("Het antwoord is 5.", "5"),
    ("Odpowiedź: 5", "5"),
    ("Odpověď je 5.", "5"),
    ("Відповідь: 5", "5"),
    ("Відповідь — синій.", "синій"),
    ("Отже, правильна відповідь є 5.", "5"),
    ("Ответ: 5", "5"),
    ("Правильный ответ — 5.", "5"),
    ("答案是5。", "5"),
    ("所以答案为：B", "B"),
    ("最终答案：3.5", "3.5"),
    ("故选B。", "B"),
    ("答えは5です。", "5"),
    ("最終的な答え：赤", "赤"),
    ("正解はBです", "B"),
    ("정답은 5입니다.", "5"),
    ("정답: B", "B"),
    ("Cevap: 5", "5"),
    ("Đáp án là 5.", "5"),
    ("الإجابة هي 5", "5"),
    ("उत्तर: 5", "5"),
]


@pytest.mark.parametrize(("completion", "text"), LANGUAGES)
def test_answers_in_many_languages(completion: str, text: str) -> None:
    found = extract_answer("1 + 1 = 2\n" + completion)
    assert (found.text, found.method) == (text, "answer_line")


NUMBERS = [
    ("We count 3 and 4, which makes 7.", "7"),
    ("It is $24 \\mathrm{~cm}^2$ large.", "24 \\mathrm{~cm}^2"),
    ("so it is 24 cm^2.", "24 cm^2"),
    ("the temperature is -5 °C now", "-5 °C"),
    ("between 3-5", "5"),
    ("H2O has x_1 and 6 atoms of C6", "6 atoms of C6"[:1]),
    ("we get \\(15\\sqrt{3}\\)", "15\\sqrt{3}"),
    ("we get 15\\sqrt{3}.", "15\\sqrt{3}"),
    ("that costs $1,234.50 in all", "$1,234.50"),
    ("٣٫٥", "٣٫٥"),
]


@pytest.mark.parametrize(("completion", "text"), NUMBERS)
def test_the_last_number(completion: str, text: str) -> None:
    found = extract_answer(completion, kind="number")
    assert (found.text, found.method) == (text, "last_number")


CHOICES = [
    ("Only (A) and (B) remain; it must be (B).", "B"),
    ("B. Because A is not valid", "B"),
    ("I would go with option C here", "C"),
    ("Thus **D**", "D"),
    ("Thus\nC", "C"),
    ("Because B is valid", "B"),
    ("A dog is in picture B", "B"),
]


@pytest.mark.parametrize(("completion", "text"), CHOICES)
def test_the_last_choice(completion: str, text: str) -> None:
    found = extract_answer(completion, kind="choice", labels="ABCD")
    assert (found.text, found.method) == (text, "last_choice")


def test_without_fallback_only_statements_count() -> None:
    assert extract_answer("it is 5", kind="number", fallback=False).method == "none"
    assert extract_answer("Answer: 5", kind="number", fallback=False).text == "5"
