"""What other libraries' code does with a staged program's values: an error that says what isn't staged, and what is."""

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.spatial.distance
import scipy.stats

import iverson as iv


def square(w):
    return w**2


@pytest.mark.parametrize(
    ("function", "named", "instead"),
    [
        (lambda x: scipy.optimize.minimize(lambda w: square(w - x[0]), 0.0).x, "minimize", "iv.minimize"),
        (lambda x: scipy.optimize.brentq(lambda w: w - x[0], 0.0, 3.0), "brentq", "iv.root"),
        (lambda x: scipy.integrate.quad(lambda t: t * x[0], 0.0, 1.0)[0], "quad", "a loop over the steps"),
        (lambda x: scipy.stats.norm.logpdf(x).sum(), "logpdf", "scipy.special"),
        (lambda x: scipy.spatial.distance.cdist(x[:, None], x[:, None]).sum(), "cdist", "broadcasting"),
    ],
)
def test_functions_that_are_not_staged_say_so(function, named, instead):
    with pytest.raises((TypeError, ValueError)) as raised:
        iv.grad(function)(np.arange(6.0))
    notes = "\n".join(raised.value.__notes__)
    assert named in notes and instead in notes


def test_constants_may_come_from_any_library():
    assert iv.grad(lambda x: x * scipy.stats.norm.ppf(0.975))(1.0) == scipy.stats.norm.ppf(0.975)
