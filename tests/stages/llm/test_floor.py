from __future__ import annotations

from stages.llm.floor import CLAUSE, Floor, Work


class Company:
    """Works by name, and what the floor told them."""

    def __init__(self) -> None:
        self.floor, self.told = Floor(), list[str]()

    def work(self, name: str, *, reading: bool = False) -> Work:
        return Work(
            lambda: self.told.append(f"{name} begins"),
            lambda: self.told.append(f"{name} rests"),
            reading=reading,
        )

    def asks(self, name: str, *, reading: bool = False) -> Work:
        work = self.work(name, reading=reading)
        self.floor.ask(work)
        return work

    def makes(self, work: Work, tokens: int) -> None:
        self.says(work, *["word "] * tokens)

    def says(self, work: Work, *tokens: str) -> None:
        for token in tokens:
            work.made(token)
        self.floor.look()


def test_who_asks_alone_begins_at_once_and_is_never_told_to_rest() -> None:
    company = Company()
    ada = company.asks("Ada")
    company.makes(ada, 80)
    assert company.told == ["Ada begins"]


def test_one_at_a_time_first_come_first_served() -> None:
    company = Company()
    ada = company.asks("Ada")
    ben = company.asks("Ben")
    company.asks("Cy")
    company.floor.leave(ada)
    company.floor.leave(ben)
    assert company.told == ["Ada begins", "Ben begins", "Cy begins"]


def test_the_begin_of_a_reply_goes_before_the_rest_of_a_long_one() -> None:
    company = Company()
    ada = company.asks("Ada")
    company.makes(ada, CLAUSE)
    company.asks("Ben")
    assert company.told == ["Ada begins", "Ada rests"]
    company.floor.leave(ada)
    assert company.told[2:] == ["Ben begins"]


def test_a_first_clause_is_made_to_its_end() -> None:
    company = Company()
    ada = company.asks("Ada")
    company.makes(ada, CLAUSE - 1)
    company.asks("Ben")
    assert company.told == ["Ada begins"]
    company.makes(ada, 1)
    assert company.told == ["Ada begins", "Ada rests"]


def test_a_mark_ends_a_clause_that_is_long_enough_to_be_said() -> None:
    company = Company()
    ada = company.asks("Ada")
    company.asks("Ben")
    company.says(ada, "Well", ",", " I")
    assert company.told == ["Ada begins"]
    company.says(ada, " see", ".")
    assert company.told == ["Ada begins", "Ada rests"]


def test_what_follows_a_mark_is_counted_anew() -> None:
    company = Company()
    ada = company.asks("Ada")
    company.says(ada, "I", "'m", " sorry", ", ", *["word "] * (CLAUSE - 1))
    assert ada.clauses == 1
    company.makes(ada, 1)
    assert ada.clauses == 2


def test_long_replies_take_turns_by_clauses_so_that_no_voice_runs_dry() -> None:
    company = Company()
    ada, ben = company.asks("Ada"), company.asks("Ben")
    for work in (ada, ben, ada, ben):
        company.makes(work, CLAUSE)
        company.floor.leave(work)
        company.floor.ask(work)
    begun = [word for word in company.told if "begins" in word]
    assert begun == ["Ada begins", "Ben begins"] * 2 + ["Ada begins"]


def test_reading_ahead_waits_for_two_clauses_and_goes_before_the_third() -> None:
    company = Company()
    ada = company.asks("Ada")
    company.asks("what Ben says", reading=True)
    company.makes(ada, 2 * CLAUSE - 1)
    assert company.told == ["Ada begins"]
    company.makes(ada, 1)
    assert company.told == ["Ada begins", "Ada rests"]


def test_reading_is_not_told_to_rest_and_the_reply_is_next() -> None:
    company = Company()
    reading = company.asks("what Ada says", reading=True)
    company.asks("what Cy says", reading=True)
    company.asks("Ben")
    assert company.told == ["what Ada says begins"]
    company.floor.leave(reading)
    assert company.told[1:] == ["Ben begins"]


def test_more_of_a_guess_than_anybody_reads_waits_for_everything() -> None:
    company = Company()
    guess = company.asks("a guess")
    guess.unread = CLAUSE + 1
    reading = company.asks("what Ben says", reading=True)
    assert company.told == ["a guess begins", "a guess rests"]
    company.floor.leave(guess)
    company.floor.ask(guess)
    assert company.told[2:] == ["what Ben says begins"]
    guess.unread = 0  # it is no guess any more
    company.floor.leave(reading)
    assert company.told[3:] == ["a guess begins"]


def test_who_waits_may_give_up() -> None:
    company = Company()
    ada = company.asks("Ada")
    ben = company.asks("Ben")
    company.floor.leave(ben)
    company.floor.leave(ada)
    company.asks("Cy")
    assert company.told == ["Ada begins", "Cy begins"]


def test_a_reply_is_at_its_begin_until_it_has_a_clause() -> None:
    company = Company()
    company.asks("what Ben says", reading=True)
    assert not company.floor.begins_a_reply()
    ada = company.asks("Ada")
    assert company.floor.begins_a_reply()
    company.makes(ada, CLAUSE)
    assert not company.floor.begins_a_reply()
