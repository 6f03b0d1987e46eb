"""Programs for what `np.linalg`, `scipy.linalg`, `np.fft`, `scipy.fft` and `scipy.signal` solve and transform."""

import numpy as np
import scipy.fft
import scipy.linalg as sl
import scipy.signal

from .numpy_cases import case


def spd(x):
    return x @ x.swapaxes(-1, -2) + np.eye(x.shape[-2])


def rebuilt(u, s, vt):
    return (u * s[..., None, :]) @ vt


# of one matrix or a stack; 6 x 6, 6 x 7, 7 x 5, 2 x 3 and the small ones
case(np.linalg.solve, "q,m", lambda x, y: np.linalg.solve(x, y), lambda x, y: np.linalg.solve(x, y[:, 0]))
case(np.linalg.solve, "h,t", lambda x, y: np.linalg.solve(spd(x)[0], y.swapaxes(1, 2)))
case(np.linalg.solve, "h,t", lambda x, y: np.linalg.solve(spd(x[:, :3]), y[:2].swapaxes(1, 2)[:, :3]))
case(np.linalg.inv, "q s", lambda x: np.linalg.inv(spd(x)), lambda x: np.linalg.inv(x[:1, :1]))
case(
    np.linalg.inv,
    "q",
    lambda x: np.linalg.inv(x),
    lambda x: np.linalg.inv(x[:3, :3]),
    lambda x: np.linalg.inv(x[:4, :4]),
)
case(np.linalg.inv, "h", lambda x: np.linalg.inv(spd(x)), lambda x: np.linalg.inv(spd(x[:, :3])))
case(np.linalg.det, "q", *(lambda x, k=k: np.linalg.det(x[:k, :k]) for k in (6, 5, 4, 3, 2, 1)))
case(np.linalg.det, "h", lambda x: np.linalg.det(spd(x)), lambda x: np.linalg.det(spd(x[:, :3])))
case(np.linalg.slogdet, "q", *(lambda x, k=k: tuple(np.linalg.slogdet(x[:k, :k])) for k in (6, 5, 4, 3, 2, 1)))
case(np.linalg.slogdet, "h", lambda x: np.linalg.slogdet(spd(x)).logabsdet)
case(np.linalg.cholesky, "q", *(lambda x, k=k: np.linalg.cholesky(spd(x)[:k, :k]) for k in (6, 4, 3, 2, 1)))
case(np.linalg.cholesky, "q h", lambda x: np.linalg.cholesky(spd(x), upper=True))
case(np.linalg.tensorsolve, "q,m", lambda x, y: np.linalg.tensorsolve(x.reshape(2, 3, 6), y[:, 0].reshape(2, 3)))
case(np.linalg.tensorinv, "q", lambda x: np.linalg.tensorinv(x.reshape(6, 2, 3), 1))
case(np.linalg.qr, "q r", lambda x: tuple(np.linalg.qr(x)), lambda x: np.linalg.qr(x, mode="r"))
case(np.linalg.qr, "m h t", lambda x: np.linalg.qr(x).R, lambda x: np.linalg.qr(x.swapaxes(-1, -2)).Q)
case(np.linalg.eigh, "q", lambda x: tuple(np.linalg.eigh(x)), lambda x: np.linalg.eigh(x, UPLO="U")[0])
case(np.linalg.eigh, "h", lambda x: np.linalg.eigh(spd(x)).eigenvalues)
case(np.linalg.eigvalsh, "q", lambda x: np.linalg.eigvalsh(x), lambda x: np.linalg.eigvalsh(x, "U"))
case(np.linalg.svd, "q r", lambda x: tuple(np.linalg.svd(x, full_matrices=False)))
case(np.linalg.svd, "q m h t", lambda x: rebuilt(*np.linalg.svd(x, full_matrices=False)))
case(np.linalg.svd, "q m h", lambda x: np.linalg.svd(x, compute_uv=False))
case(np.linalg.svdvals, "m r", lambda x: np.linalg.svdvals(x))
case(np.linalg.pinv, "m r h", lambda x: np.linalg.pinv(x), lambda x: np.linalg.pinv(x, rtol=None))
case(np.linalg.pinv, "q", lambda x: np.linalg.pinv(x[:, :1] @ x[:1], rcond=1e-12))
case(np.linalg.lstsq, "r,v", lambda x, y: np.linalg.lstsq(x, y), lambda x, y: np.linalg.lstsq(x, x[:, :2]))
case(np.linalg.lstsq, "m,r", lambda x, y: np.linalg.lstsq(x, y[:6, 0]), lambda x, y: np.linalg.lstsq(x, y[:6], -1))
case(np.linalg.matrix_rank, "m h v", lambda x: np.linalg.matrix_rank(x), lambda x: np.linalg.matrix_rank(x, tol=0.5))
case(np.linalg.matrix_rank, "q", lambda x: np.linalg.matrix_rank(x[:, :1] @ x[:1]))
case(np.linalg.cond, "m h", lambda x: np.linalg.cond(x), lambda x: np.linalg.cond(x, -2))
case(np.linalg.cond, "q", lambda x: np.linalg.cond(x, 1), lambda x: np.linalg.cond(x, "fro"))
case(np.linalg.norm, "m", *(lambda x, p=p: np.linalg.norm(x, p) for p in (2, -2, "nuc")))
case(np.linalg.norm, "t", lambda x: np.linalg.norm(x, 2, axis=(0, 2)), lambda x: np.linalg.norm(x, "nuc", (1, 0), True))
case(np.linalg.matrix_power, "q", lambda x: np.linalg.matrix_power(x, -3))

# --- scipy.linalg -----------------------------------------------------------------------------------------------------

case(
    sl.solve,
    "q,m",
    lambda x, y: sl.solve(x, y),
    lambda x, y: sl.solve(x, y[:, 0], transposed=True),
    *(lambda x, y, lower=lower: sl.solve(spd(x), y, assume_a="pos", lower=lower) for lower in (True, False)),
    *(lambda x, y, lower=lower: sl.solve(x + x.T, y, assume_a="sym", lower=lower) for lower in (True, False)),
    lambda x, y: sl.solve(spd(x[:3]), y[:3], assume_a="pos"),
    lambda x, y: sl.solve(np.tril(x), y, assume_a="lower triangular"),
)
case(
    sl.solve_triangular,
    "q,m",
    *(
        lambda x, y, lower=lower, trans=trans, unit=unit, k=k: sl.solve_triangular(
            x[:k, :k], y[:k, :2], trans, lower=lower, unit_diagonal=unit
        )
        for lower in (True, False)
        for trans in (0, "T")
        for unit in (True, False)
        for k in (3, 6)
    ),
    lambda x, y: sl.solve_triangular(x, y[:, 0]),
)
case(sl.cholesky, "q", lambda x: sl.cholesky(spd(x)), lambda x: sl.cholesky(spd(x), lower=True))
case(sl.cho_factor, "q", lambda x: sl.cho_factor(np.diag(x[0] ** 2), lower=True)[0])
case(
    sl.cho_solve,
    "q,m",
    lambda x, y: sl.cho_solve(sl.cho_factor(spd(x)), y),
    lambda x, y: sl.cho_solve(sl.cho_factor(spd(x), lower=True), y[:, 0]),
    lambda x, y: sl.cho_solve((np.linalg.cholesky(spd(x[:2])), True), y[:2, :3]),
)
case(sl.lu_factor, "q", lambda x: sl.lu_factor(x)[0])
case(sl.lu_solve, "q,m", *(lambda x, y, t=t: sl.lu_solve(sl.lu_factor(x), y, trans=t) for t in (0, 1)))
case(sl.lu, "q", lambda x: sl.lu(x), lambda x: sl.lu(x, permute_l=True), lambda x: sl.lu(x, p_indices=True)[1:])
case(sl.qr, "q r", lambda x: sl.qr(x, mode="economic"))
case(sl.eigh, "q", lambda x: sl.eigh(x)[1] ** 2, lambda x: sl.eigh(x, lower=False, eigvals_only=True))
case(sl.eigvalsh, "q", lambda x: sl.eigvalsh(x))
case(sl.svd, "r", lambda x: sl.svd(x, full_matrices=False), lambda x: sl.svd(x, compute_uv=False))
case(sl.svdvals, "m", lambda x: sl.svdvals(x))
case(sl.pinv, "m r", lambda x: sl.pinv(x), lambda x: sl.pinv(x, rtol=1e-3))
case(sl.lstsq, "r,v", lambda x, y: sl.lstsq(x, y)[0])
case(sl.expm, "q", lambda x: sl.expm(x), lambda x: sl.expm(9.0 * x[:2, :2]), lambda x: sl.expm(x - 0.1 * x.T))
case(sl.inv, "q", lambda x: sl.inv(x))
case(sl.det, "q", lambda x: sl.det(x))
case(sl.norm, "m", lambda x: sl.norm(x), lambda x: sl.norm(x, 2))

# --- Fourier transforms -----------------------------------------------------------------------------------------------


def parts(z):
    return z.real, z.imag


for ft in (np.fft, scipy.fft):
    case(
        ft.fft, "v p o", lambda x, ft=ft: parts(ft.fft(x)), lambda x, ft=ft: parts(ft.fft(x * 1j + x, 8, norm="ortho"))
    )
    case(ft.ifft, "v u", lambda x, ft=ft: parts(ft.ifft(x)), lambda x, ft=ft: parts(ft.ifft(x, 3, norm="forward")))
    case(ft.rfft, "v u", lambda x, ft=ft: parts(ft.rfft(x)), lambda x, ft=ft: parts(ft.rfft(x, 12, norm="forward")))
    case(ft.irfft, "v u", lambda x, ft=ft: ft.irfft(x), lambda x, ft=ft: ft.irfft(x + 2j * x, 7, norm="ortho"))
    case(ft.fft, "t", lambda x, ft=ft: parts(ft.fft(x, axis=0)), lambda x, ft=ft: ft.fft(x, axis=1))
    case(ft.fft2, "m t", lambda x, ft=ft: parts(ft.fft2(x)))
    case(ft.ifft2, "m", lambda x, ft=ft: parts(ft.ifft2(x)))
    case(ft.rfft2, "m", lambda x, ft=ft: parts(ft.rfft2(x)))
    case(ft.irfft2, "m", lambda x, ft=ft: ft.irfft2(x))
    case(ft.fftn, "t", lambda x, ft=ft: parts(ft.fftn(x)), lambda x, ft=ft: parts(ft.fftn(x, (3, 4), axes=(2, 0))))
    case(ft.ifftn, "t", lambda x, ft=ft: parts(ft.ifftn(x)))
    case(ft.rfftn, "t", lambda x, ft=ft: parts(ft.rfftn(x)))
    case(ft.irfftn, "t", lambda x, ft=ft: ft.irfftn(x), lambda x, ft=ft: ft.irfftn(x, (4, 9), axes=(0, 1)))
case(np.fft.fft, "f", lambda x: np.fft.fft(x))
case(np.fft.fftfreq, "v u", lambda x: np.fft.fftfreq(len(x), x[0]))
case(np.fft.rfftfreq, "v u", lambda x: np.fft.rfftfreq(len(x), 0.5))
case(np.fft.fftshift, "v m", lambda x: np.fft.fftshift(x), lambda x: np.fft.fftshift(x, -1))
case(np.fft.ifftshift, "v m", lambda x: np.fft.ifftshift(x))
case(np.partition, "v", lambda x: np.partition(x, 3)[3], lambda x: np.sort(np.partition(x, 2)[:2]))
case(np.argpartition, "m", lambda x: np.argpartition(x, 3)[:, 3])

# --- convolutions -----------------------------------------------------------------------------------------------------

MODES = ("full", "same", "valid")
signal = scipy.signal
case(signal.convolve, "v,k k,v", *(lambda x, y, mode=mode: signal.convolve(x, y, mode) for mode in MODES))
case(signal.convolve, "m,s", *(lambda x, y, mode=mode: signal.convolve(x, y, mode) for mode in MODES))
case(signal.convolve, "v,k", lambda x, y: signal.convolve(x, y, method="fft"))
case(signal.convolve, "v,k", lambda x, y: parts(signal.convolve(x, 1j * y)))
case(signal.correlate, "v,k k,v m,s", *(lambda x, y, mode=mode: signal.correlate(x, y, mode) for mode in MODES))
case(signal.correlate, "v,k", lambda x, y: parts(signal.correlate(x + 1j * x, 1j * y + 2.0)))
case(signal.fftconvolve, "v,k m,s", *(lambda x, y, mode=mode: signal.fftconvolve(x, y, mode) for mode in MODES))
case(signal.fftconvolve, "v,k", lambda x, y: parts(signal.fftconvolve(x, 1j * y)))
