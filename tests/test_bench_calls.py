"""What the benchmark takes for Part A's work is what Part A does."""

from tests.bench.part_a_calls import part_a_calls


def test_part_a_s_calls():
    calls = part_a_calls()
    # 0: 10 and 80 steps of three prompts, guided; 1.3: three pictures; 1.4: 23 steps of one
    assert calls[:114] == [6] * 90 + [3] + [1] * 23
    # 1.5 and 1.6: 33 steps of five, plain and guided
    assert calls[114:180] == [5] * 33 + [10] * 33
    # 1.8 and 1.9: 33 steps of three pictures with four and with three questions each
    assert calls[-66:] == [12] * 33 + [9] * 33
    # 1.7, 1.7.1, 1.7.3: three pictures from six levels, guided; 1.7.2: nine pictures, guided
    levels = sum(33 - start for start in (1, 3, 5, 7, 10, 20)) * 3 * 2
    assert sum(calls[180:-66]) == 3 * levels + 33 * 18
