from tests.unit.worker.recipes import answer
from worker.workflows.anonymous import MAX_ANSWER_CHARACTERS, anonymised, shortened


def test_each_answer_has_a_letter_of_its_own_and_past_the_alphabet_two() -> None:
    labels = [one.label for one in anonymised([answer(str(number)) for number in range(60)], "seed")]
    assert len(set(labels)) == 60
    assert (labels[0], labels[25], labels[26], labels[51], labels[52]) == ("A", "Z", "AA", "AZ", "BA")


def test_an_answer_is_quoted_up_to_a_length_and_what_is_missing_is_said() -> None:
    longest = "x" * MAX_ANSWER_CHARACTERS
    assert shortened(longest) == longest
    assert shortened(longest + "y") == longest + "\n[the rest was left out]"
