"""The grader: says whether a step equation is right, and if it is not, what it looks like.

    exercises.py    the table of exercises: what is to be written, and from where in the package
    checks/         for each exercise: closed forms it must obey, and outputs to compare
    sandbox.py      runs one check in a process of its own, with a time limit
    runner.py       `make grade`: checks in order, the first failure, a hint
    mistakes/       wrong versions that people write: what catches each, its hint, its picture
    hints.py        finds the wrong version that answers as the student's code does
    mutants.py      `make mutants`: every wrong version must be caught, and named
    gallery.py      the picture that a wrong version makes
    solutions.py    stubs and solutions as texts, made from the package as it was shipped

    harness.py      what every exercise gets for free: watched calls, random arguments (draw.py)
    facts.py        what wrong numbers themselves show
    slips.py        slips of the pen, made by rules from the solution

What is right is decided by closed forms written down here and by the package as it was shipped
(io/shipped.zip). No code that a student may edit is ever asked.

For other programs: runner.grade_text(exercise, text) gives a Result, and
mistakes.catalogue.mistakes_of(exercise or function) the mistakes with their texts.
"""
