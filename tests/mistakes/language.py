"""Python that isn't the language's: refused at its line, or meant as Python means it, never something else."""

import numpy as np

from .indices import vector
from .registry import mistake, undecided, unsupported

COUNTER = 0.0


@undecided(r"try", lambda: (vector(),))
def exception_handler(x):
    try:  # <-- here
        return x[len(x)]
    except IndexError:
        return 0.0


@undecided(r"with", lambda: (vector(),))
def context_manager(x):
    with np.errstate(divide="ignore"):  # <-- here
        return 1.0 / (x - 1.0)


@unsupported(r"yield|generator", lambda: (vector(),))
def generator_function(x):
    for v in x:
        yield v * 2.0  # <-- here


@unsupported(r"async|await|coroutine", lambda: (vector(),))
async def coroutine_function(x):  # <-- here
    return x * 2.0


@undecided(r"del", lambda: (vector(),))
def deleted_name(x):
    y = x * 2.0
    z = y + 1.0
    del y  # <-- here
    return z


@unsupported(r"global", lambda: (vector(),))
def global_written(x):
    global COUNTER  # <-- here
    COUNTER = COUNTER + x[0]
    return COUNTER


@undecided(r"class", lambda: (vector(),))
def class_defined_inside(x):
    class Scale:  # <-- here
        factor = 2.0

    return x * Scale.factor


@undecided(r"\*|star|unpack|iter", lambda: (vector(7),))
def array_spread_over_parameters(x):
    def total(*parts):
        return parts[0] + parts[-1] + len(parts)

    return total(*x)  # <-- here


@undecided(r"\*|star|unpack|iter", lambda: (vector(7),))
def starred_assignment(x):
    first, *rest = x  # <-- here
    return first + rest[-1]


@undecided(r"format|str|text", lambda: (vector(),))
def value_formatted(x):
    if f"{x[0]:.1f}" == "1.0":  # <-- here
        return x
    return -x


@undecided(r"str|text|format", lambda: (vector(),))
def value_made_a_string(x):
    return x if str(x[0]).endswith("1.0") else -x  # <-- here


@undecided(r"print|str|format", lambda: (vector(),))
def value_printed(x):
    print("first:", float(x[0]))  # <-- here
    return x * 2.0


@undecided(r"append|list", lambda: (vector(),))
def list_appended_in_a_loop(x):
    out = []
    for i in range(len(x)):
        out.append(x[i] * 2.0)  # <-- here
    return out


@undecided(r"append|list", lambda: (vector(),))
def list_appended_under_a_condition(x):
    out = []
    for v in x:
        if v > 2.0:
            out.append(v)  # <-- here
    return np.array(out)


@undecided(r"hash|key|dict", lambda: (np.array([0, 1, 1]),))
def dictionary_keyed_by_values(k):
    count = {}
    for i in range(len(k)):
        count[k[i]] = count.get(k[i], 0) + 1  # <-- here
    return count[0]


@undecided(r"hash|set", lambda: (np.array([0, 1, 1]),))
def set_of_values(k):
    return len({k[0], k[1], k[2]})  # <-- here


@undecided(r"\bis\b|identity", lambda: (np.array([2, 2]),))
def identity_of_values(k):
    return 1.0 if k[0] is k[1] else 0.0  # <-- here


@undecided(r"\bin\b|contain", lambda: (np.array([2, 5]), 5))
def membership_in_an_array(k, n):
    return 1.0 if n in k else 0.0  # <-- here


@undecided(r"eval", lambda: (vector(),))
def evaluated_text(x):
    return eval("x * 2.0")  # <-- here


@undecided(r"exec", lambda: (vector(),))
def executed_text(x):
    scope = {"x": x}
    exec("y = x * 2.0", scope)  # <-- here
    return scope["y"]


@undecided(r"match|case", lambda: (3,))
def match_statement(k):
    match k:  # <-- here
        case 3:
            return 1.0
        case _:
            return 0.0


@undecided(r"else", lambda: (vector(),))
def loop_with_else(x):
    for v in x:  # <-- here
        if v > 100.0:
            break
    else:
        return -1.0
    return 1.0


@undecided(r"nonlocal", lambda: (vector(),))
def nonlocal_written(x):
    total = 0.0

    def add(v):
        nonlocal total  # <-- here
        total = total + v

    for v in x:
        add(v)
    return total


@undecided(r"isinstance|type", lambda: (vector(),))
def type_of_an_argument_asked(x):
    return x * 2.0 if isinstance(x, np.ndarray) else x  # <-- here


@undecided(r"tolist|list", lambda: (vector(),))
def array_made_a_list(x):
    total = 0.0
    for v in x.tolist():  # <-- here
        total += v
    return total


@undecided(r"sort|list|iter", lambda: (vector()[::-1].copy(),))
def python_sorted(x):
    return sorted(x)[0]  # <-- here


@undecided(r"concatenat|\+|list", lambda: (vector(),))
def comprehensions_joined_by_plus(x):
    return [v for v in x] + [2.0 * v for v in x]  # <-- here


@undecided(r"repeat|\*|list", lambda: (vector(),))
def comprehension_repeated(x):
    return [v for v in x] * 2  # <-- here


@mistake(TypeError, r"unhashable|hash", lambda: (vector(),))
def dictionary_keyed_by_an_array(x):
    return {x: 1.0}[x]  # <-- here


@mistake(TypeError, r"missing|argument", lambda: (vector(),))
def helper_called_with_too_few(x):
    def scale(v, factor):
        return v * factor

    return scale(x)  # <-- here


@mistake(TypeError, r"factr|keyword", lambda: (vector(),))
def helper_called_with_an_unknown_keyword(x):
    def scale(v, factor):
        return v * factor

    return scale(x, factr=2.0)  # <-- here


@undecided(r"reduce|call|iter", lambda: (vector(),))
def functools_reduce(x):
    import functools

    return functools.reduce(lambda a, b: a + b, x)  # <-- here


@undecided(r"accumulate|call|iter", lambda: (vector(),))
def itertools_over_an_array(x):
    import itertools

    return list(itertools.accumulate(x))[-1]  # <-- here


@unsupported(r"float64.*int64.*0\.0", lambda: (vector(),))
def float_put_into_a_list_of_integers(x):
    counts = [0 for _ in range(len(x))]
    counts[0] = 0.5  # <-- here
    return counts[0] + x[0]


@unsupported(r"float64.*int64.*0\.0", lambda: (vector(),))
def integers_of_a_list_divided(x):
    counts = [1] * len(x)
    counts[0] /= 2  # <-- here
    return counts[0] + x[0]


@unsupported(r"int64.*bool", lambda: (vector(),))
def number_added_to_a_list_of_bools(x):
    seen = [False] * len(x)
    seen[1] += 2  # <-- here
    return seen[1] + x[0]


@unsupported(r"comprehension", lambda: (vector(),))
def list_of_one_row_many_times(x):
    rows = [[0.0] * len(x)] * len(x)  # <-- here
    rows[0][0] = 1.0
    return rows[1][0]


@unsupported(r"list", lambda: (vector(),))
def list_in_a_list_lengthened(x):
    rows = [[0.0] * len(x) for _ in range(len(x))]
    rows[0] += [1.0]  # <-- here
    return rows[0][0]


@mistake(ValueError, r"read-only", lambda: (vector(),))
def sliding_windows_written(x):
    windows = np.lib.stride_tricks.sliding_window_view(x, 2)
    windows[0, 0] = 1.0  # <-- here


@mistake(ValueError, r"larger", lambda: (vector(4), 5), good=lambda: (vector(6), 5))
def windows_longer_than_the_array(x, n):
    return np.lib.stride_tricks.sliding_window_view(x, n).sum()  # <-- here
