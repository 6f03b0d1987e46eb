"""`iv.jacobian` and `iv.hessian`, sparse and dense."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import iverson as iv
from iverson.run.colouring import colour_columns, colour_star


@pytest.fixture(autouse=True)
def _cheaply(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def chain(x):
    return x[1:] * np.sin(x[:-1])


def links(x, left, right):
    """Residuals through indices."""
    return np.array([(x[left[k]] - x[right[k]]) ** 2 for k in range(len(left))])


def energy(u):
    n, m = u.shape
    down = sum((u[i + 1, j] - u[i, j]) ** 4 for i in range(n - 1) for j in range(m))
    return down + sum(np.exp(u[i, j] * u[i, j + 1]) for i in range(n) for j in range(m - 1))


def relax(x, steps):
    y = x.copy()
    for _ in range(steps):
        for i in range(1, len(x) - 1):
            y[i] = 0.5 * y[i - 1] * y[i + 1]
    return y


def arrow(x):
    """One row that is full, and a diagonal."""
    return np.concatenate([x**2, np.array([np.sum(x**3)])])


def column(x):
    """One column that is full."""
    return x * x[0]


def of_several(parameters, scale):
    w, b = parameters["w"], parameters["b"]
    return {"a": np.array([w[i] * scale + b[i] for i in range(len(b))]), "c": w[0] * w[1], "n": len(w)}


def smooth_maximum(x):
    return np.array([max(x[i], x[i + 1]) + min(x[i] * 2.0, 5.0) for i in range(len(x) - 1)])


rng = np.random.default_rng(0)
X = rng.normal(size=150)
INDICES = rng.integers(0, 150, 90), rng.integers(0, 150, 90)
CASES = {
    "chain": (chain, (X,), 2),
    "links": (links, (X, *INDICES), None),
    "in place": (relax, (X[:90], 2), None),
    "one column": (column, (X,), 2),
    "kinks": (smooth_maximum, (X,), 2),
    "few": (chain, (X[:6],), 2),
    "none": (chain, (X[:0],), 0),
}


@pytest.mark.parametrize(("f", "args", "colours"), CASES.values(), ids=CASES.keys())
def test_a_sparse_jacobian_is_the_dense_one(f, args, colours):
    J = iv.jacobian(f, sparsity="auto")
    found = J(*args)
    assert isinstance(found, scipy.sparse.csr_array) and found.has_sorted_indices
    np.testing.assert_allclose(found.toarray(), iv.jacfwd(f)(*args), rtol=1e-12)
    if colours is not None:
        assert J.colours(*args) == colours


def test_the_pattern_is_as_small_as_the_program_says():
    pattern = iv.jacobian(chain, sparsity="auto").pattern(X)
    assert pattern.nnz == 2 * 149 and pattern.dtype == bool
    left, right = INDICES
    found = iv.jacobian(links, sparsity=True).pattern(X, left, right).toarray()
    want = np.zeros_like(found)
    want[np.arange(90), left] = want[np.arange(90), right] = True
    np.testing.assert_array_equal(found, want)


def test_a_full_row_takes_one_product_by_rows():
    J = iv.jacobian(arrow, sparsity="auto")
    np.testing.assert_allclose(J(X).toarray(), iv.jacrev(arrow)(X), rtol=1e-12)
    assert J.compression(X).by_rows and J.colours(X) == 2


def test_sparse_hessians():
    u = rng.normal(size=(9, 13))
    H = iv.hessian(energy, sparsity="auto")
    dense = iv.hessian(energy)(u).reshape(117, 117)
    np.testing.assert_allclose(H(u).toarray(), dense, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(H.pattern(u).toarray(), dense != 0.0)
    assert H.colours(u) <= 7
    linear = iv.hessian(lambda x: np.sum(3.0 * x) + x[0] ** 2, sparsity="auto")
    assert linear.pattern(X).nnz == 1 and linear(X)[0, 0] == 2.0
    nothing = iv.hessian(lambda x: np.sum(3.0 * x), sparsity="auto")
    assert nothing(X).nnz == 0 and nothing.colours(X) == 0


def test_several_arguments_and_results_are_columns_and_rows_in_order():
    parameters = {"w": X[:8], "b": X[8:14]}
    found = iv.jacobian(of_several, argnums=(0, 1), sparsity="auto")(parameters, 2.0)
    assert found.shape == (7, 15)
    by_hand = np.zeros((7, 15))
    by_hand[np.arange(6), np.arange(6)] = 1.0  # b comes first: the keys are sorted
    by_hand[np.arange(6), 6 + np.arange(6)] = 2.0
    by_hand[:6, 14] = X[:6]
    by_hand[6, 6:8] = X[1], X[0]
    np.testing.assert_allclose(found.toarray(), by_hand)

    def f(x, y):
        return np.sum(x[:-1] * x[1:] * y)

    H = iv.hessian(f, argnums=(0, 1), sparsity="auto")(X[:7], X[7:13])
    blocks = iv.hessian(f, argnums=(0, 1))(X[:7], X[7:13])
    np.testing.assert_allclose(H.toarray(), np.block([[blocks[0][0], blocks[0][1]], [blocks[1][0], blocks[1][1]]]))


def test_patterns_are_kept_until_shapes_or_integers_change():
    J = iv.jacobian(links, sparsity="auto")
    left, right = INDICES
    first = J.compression(X, left, right)
    assert J.compression(X + 1.0, left.copy(), right) is first
    moved = left.copy()
    moved[3] = (moved[3] + 1) % 150
    np.testing.assert_allclose(J(X, moved, right).toarray(), iv.jacfwd(links)(X, moved, right))
    assert J.compression(X, moved, right) is not first and J.compression(X, left, right) is first
    assert J.compression(X[:149], left % 149, right % 149).pattern.shape == (90, 149)
    J.refresh()
    assert J.compression(X, left, right) is not first


def test_what_is_returned_may_be_written():
    J = iv.jacobian(chain, sparsity="auto")
    first = J(X)
    first.data[:] = 0.0
    first.indices[:] = 0
    first.eliminate_zeros()
    np.testing.assert_allclose(J(X).toarray(), iv.jacfwd(chain)(X))


def test_patterns_that_floats_decide_grow():
    def f(x):
        return np.array([x[i] * x[i + 1] if x[i] > 0.0 else x[i] for i in range(len(x) - 1)])

    J = iv.jacobian(f, sparsity="auto")
    first = J.compression(-(X**2))
    assert first.pattern.nnz == 149 and first.probe is not None
    np.testing.assert_allclose(J(X).toarray(), iv.jacfwd(f)(X))
    grown = J.compression(X)
    assert grown.pattern.nnz == 149 + np.sum(X[:-1] > 0.0)
    assert J.compression(-(X**2)) is grown and J.compression(X) is grown
    J.refresh()
    assert J.compression(-(X**2)).pattern.nnz == 149


def test_patterns_that_other_things_decide_are_not_tested():
    assert iv.jacobian(links, sparsity="auto").compression(X, *INDICES).probe is None
    assert iv.jacobian(relax, sparsity="auto").compression(X, 2).probe is None
    assert iv.hessian(energy, sparsity="auto").compression(rng.normal(size=(6, 7))).probe is None


def test_a_variable_around_the_function_that_changes_is_noticed():
    shift = 1

    def f(x):
        return np.array([x[i] * x[i + shift] for i in range(len(x) - 3)])

    J = iv.jacobian(f, sparsity="auto")
    J(X)
    shift = 2
    np.testing.assert_allclose(J(X).toarray(), iv.jacfwd(f)(X))
    H = iv.hessian(lambda x: np.sum(f(x)), sparsity="auto")
    assert H(X)[0, 2] == 1.0
    shift = 3
    assert H(X)[0, 2] == 0.0 and H(X)[0, 3] == 1.0


def test_winners_and_captured_indices_are_tested():
    def tops(x):
        return sum(max(x[i : i + 3]) ** 2 for i in range(len(x) - 2))

    H = iv.hessian(tops, sparsity="auto")
    for y in (X, -X, np.roll(X, 7)):
        np.testing.assert_allclose(H(y).toarray(), iv.hessian(tops)(y))
    where = np.arange(100)

    def picked(x):
        return np.array([x[where[k]] ** 2 for k in range(100)])

    J = iv.jacobian(picked, sparsity="auto")
    J(X)
    where[:] = where[::-1].copy()
    np.testing.assert_allclose(J(X).toarray(), iv.jacfwd(picked)(X))


def test_given_patterns():
    rows, columns = np.arange(149).repeat(2), np.stack([np.arange(149), np.arange(1, 150)], axis=1).ravel()
    for given in ((rows, columns), scipy.sparse.coo_matrix((np.ones(298), (rows, columns)), shape=(149, 150))):
        J = iv.jacobian(chain, sparsity=given)
        np.testing.assert_allclose(J(X).toarray(), iv.jacfwd(chain)(X))
    with pytest.raises(ValueError, match=r"has shape \(3, 3\), the Jacobian \(149, 150\)"):
        iv.jacobian(chain, sparsity=scipy.sparse.eye_array(3))(X)
    with pytest.raises(ValueError, match="entries outside of the Jacobian"):
        iv.jacobian(chain, sparsity=([149], [0]))(X)
    with pytest.raises(ValueError, match="must be symmetric"):
        iv.hessian(lambda x: np.sum(x[1:] * x[:-1]), sparsity=([0], [1]))(X)
    with pytest.raises(ValueError, match='sparsity is "auto"'):
        iv.jacobian(chain, sparsity="full")


def test_misuse():
    with pytest.raises(TypeError, match="take it outside of compiled functions"):
        iv.jit(lambda x: iv.jacobian(chain, sparsity="auto")(x))(X)
    with pytest.raises(TypeError, match="argnums has 2, but there are 1 positional arguments"):
        iv.jacobian(chain, argnums=2, sparsity="auto")(X)
    with pytest.raises(TypeError, match="only floating-point values have derivatives"):
        iv.jacobian(links, argnums=1, sparsity="auto")(X, *INDICES)
    with pytest.raises(TypeError, match="argnums has 2, but there are 1 positional arguments"):
        iv.jacobian(chain, argnums=2)(X)
    with pytest.raises(TypeError, match="has no floating-point result"):
        iv.jacobian(len, sparsity="auto")(X)
    with pytest.raises(TypeError, match="return the real and the imaginary part"):
        iv.jacobian(lambda x: x * 1j, sparsity="auto")(X)


def test_results_of_a_length_that_the_data_decide():
    def positive(x):
        return x[x > 0.0] ** 2

    J = iv.jacobian(positive, sparsity="auto")
    for y in (X, -X, X + 0.1):
        dense = np.diag(2.0 * y)[y > 0.0]
        np.testing.assert_allclose(J(y).toarray(), dense)
        np.testing.assert_allclose(iv.jacobian(positive)(y), dense)


def test_static_arguments_have_patterns_of_their_own():
    def f(x, kind):
        return x[1:] * x[:-1] if kind == "pairs" else x[1:] ** 2

    J = iv.jacobian(f, sparsity="auto")
    assert J.pattern(X, "pairs").nnz == 298 and J.pattern(X, "squares").nnz == 149


def test_dense_patterns_are_refused_or_need_no_colouring():
    full = iv.jacobian(lambda x: np.outer(x, x) @ x, sparsity="auto")
    np.testing.assert_allclose(full(X[:70]).toarray(), iv.jacfwd(lambda x: np.outer(x, x) @ x)(X[:70]))
    half = scipy.sparse.csr_array(np.tril(np.ones((200, 200), bool)))
    assert colour_columns(half).max() == 199
    n = 10**5
    columns, starts = np.tile(np.arange(n), 100), np.arange(0, 100 * n + 1, n)
    thick = scipy.sparse.csr_array((np.ones(100 * n, bool), columns, starts), shape=(100, n + 1))
    with pytest.raises(ValueError, match="isn't sparse enough"):
        colour_columns(thick)


def test_sorting():
    sets = iv.jacobian(lambda a, b: np.sort(a) * b, sparsity="auto")
    a = rng.normal(size=8)
    assert sets(a, 2.0).shape == (8, 8)
    np.testing.assert_allclose(sets(a, 2.0).toarray(), iv.jacfwd(lambda a: np.sort(a) * 2.0)(a))


# --- colourings -------------------------------------------------------------------------------------------------------


def random_pattern(rows, columns, density, seed):
    return scipy.sparse.csr_array(scipy.sparse.random_array((rows, columns), density=density, rng=seed) != 0)


@pytest.mark.parametrize("seed", range(6))
def test_columns_of_one_colour_don_t_meet(seed):
    pattern = random_pattern(40, 60, 0.02 * (seed + 1), seed)
    colour = colour_columns(pattern)
    for row in pattern.toarray():
        met = colour[row]
        assert len(set(met)) == len(met)
    assert colour.max() + 1 >= pattern.sum(axis=1).max()


@pytest.mark.parametrize("seed", range(6))
def test_star_colourings_have_no_path_of_four_in_two_colours(seed):
    half = random_pattern(40, 40, 0.01 * (seed + 1), seed)
    pattern = scipy.sparse.csr_array(half + half.T)
    colour, dense = colour_star(pattern), pattern.toarray()
    np.fill_diagonal(dense, False)
    neighbours = [np.flatnonzero(row) for row in dense]
    for a in range(40):
        for b in neighbours[a]:
            assert colour[a] != colour[b]
            for c in neighbours[b]:
                for d in neighbours[c]:
                    if len({a, b, c, d}) == 4:
                        assert not (colour[a] == colour[c] and colour[b] == colour[d])
    assert colour.max() <= colour_columns(pattern + scipy.sparse.eye_array(40, dtype=bool)).max()
