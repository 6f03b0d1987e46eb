// The programs of benchmarks/arrays as plain C++ for one thread, values alone.  Arrays are row-major.

#include <complex>

#include "../common.hpp"

using Complex = std::complex<double>;

extern "C" {

void xsbench(Index lookups, Index points, const double* sections, const double* concentrations, const double* grids,
             const Index* starts, const Index* nuclides, const double* energies, const Index* materials,
             const double* weights, double* out) {
    double total = 0;
    for (Index q = 0; q < lookups; q++)
        for (Index j = starts[materials[q]]; j < starts[materials[q] + 1]; j++) {
            const double* grid = grids + nuclides[j] * points;
            Index low = 0, high = points - 1;
            while (high - low > 1) {
                Index middle = (low + high) / 2;
                (grid[middle] > energies[q] ? high : low) = middle;
            }
            double share = (energies[q] - grid[low]) / (grid[low + 1] - grid[low]), met = 0;
            const double *below = sections + (nuclides[j] * points + low) * 5, *above = below + 5;
            for (int c = 0; c < 5; c++) met += weights[c] * (below[c] + share * (above[c] - below[c]));
            total += concentrations[j] * met;
        }
    *out = total;
}

void rsbench(Index lookups, Index count, Index most, const double* poles, const double* background, const double* radii,
             const Index* momenta, const Index* windows, const Index* starts, const Index* nuclides,
             const double* concentrations, const double* energies, const Index* materials, const double* weights,
             double* out) {
    double total = 0;
    for (Index q = 0; q < lookups; q++) {
        double energy = energies[q], root = std::sqrt(energy);
        Index window = std::min(static_cast<Index>(energy * count), count - 1);
        for (Index j = starts[materials[q]]; j < starts[materials[q] + 1]; j++) {
            Index n = nuclides[j];
            double x = radii[n] * root;
            double turn[4] = {x, x - std::atan(x), x - std::atan(3 * x / (3 - x * x)),
                              x - std::atan(x * (15 - x * x) / (15 - 6 * x * x))};
            Complex turned[4];
            for (int l = 0; l < 4; l++) turned[l] = {std::cos(2 * turn[l]), -std::sin(2 * turn[l])};
            const double* fit = background + (n * count + window) * 3;
            double sum[3] = {energy * fit[0], energy * fit[1], energy * fit[2]};
            const Index* bounds = windows + n * (count + 1) + window;
            for (Index p = bounds[0]; p < bounds[1]; p++) {
                const double* pole = poles + (n * most + p) * 8;
                double real = pole[0] - root, imaginary = pole[1], norm = energy * (real * real + imaginary * imaginary);
                Complex share(imaginary / norm, real / norm), spin = share * turned[momenta[n * most + p]];
                sum[0] += pole[2] * spin.real() - pole[3] * spin.imag();
                sum[1] += pole[4] * share.real() - pole[5] * share.imag();
                sum[2] += pole[6] * share.real() - pole[7] * share.imag();
            }
            total += concentrations[j] * (weights[0] * sum[0] + weights[1] * sum[1] + weights[2] * sum[2]);
        }
    }
    *out = total;
}

void lbm(Index n, Index m, const double* start, const std::uint8_t* solid, double rate, Index steps, double* out) {
    const int dx[] = {0, 1, 0, -1, 0, 1, -1, -1, 1}, dy[] = {0, 0, 1, 0, -1, 1, 1, -1, -1};
    const int back[] = {0, 3, 4, 1, 2, 7, 8, 5, 6};
    const double shares[] = {4. / 9, 1. / 9, 1. / 9, 1. / 9, 1. / 9, 1. / 36, 1. / 36, 1. / 36, 1. / 36};
    std::vector<double> f(start, start + 9 * n * m), g(9 * n * m);
    for (Index t = 0; t < steps; t++) {
        for (int k = 0; k < 9; k++)
            for (Index i = 0; i < n; i++) {
                const double* from = &f[(k * n + (i - dx[k] + n) % n) * m];
                double* to = &g[(k * n + i) * m];
                for (Index j = 1; j + 1 < m; j++) to[j] = from[j - dy[k]];
                to[0] = from[(m - dy[k]) % m];
                to[m - 1] = from[(m - 1 - dy[k] + m) % m];
            }
        for (Index c = 0; c < n * m; c++) {
            double came[9], density = 0;
            for (int k = 0; k < 9; k++) density += came[k] = g[k * n * m + c];
            if (solid[c]) {
                for (int k = 0; k < 9; k++) f[k * n * m + c] = came[back[k]];
                continue;
            }
            double u = (came[1] + came[5] + came[8] - came[3] - came[6] - came[7]) / density;
            double v = (came[2] + came[5] + came[6] - came[4] - came[7] - came[8]) / density;
            double less = 1.5 * (u * u + v * v);
            for (int k = 0; k < 9; k++) {
                double along = 3 * (dx[k] * u + dy[k] * v);
                double even = shares[k] * density * (1 + along + 0.5 * along * along - less);
                f[k * n * m + c] = came[k] + rate * (even - came[k]);
            }
        }
    }
    double total = 0;
    for (Index c = 0; c < n * m; c++) {
        double density = 0, x = 0, y = 0;
        for (int k = 0; k < 9; k++) {
            double part = f[k * n * m + c];
            density += part;
            x += dx[k] * part;
            y += dy[k] * part;
        }
        total += 0.5 * (x * x + y * y) / density;
    }
    *out = total;
}

void sparse_kmeans(Index n, Index k, Index d, const double* centres, const double* values, const Index* columns,
                   const Index* starts, double* out) {
    std::vector<double> squares(k);
    for (Index j = 0; j < k; j++)
        for (Index a = 0; a < d; a++) squares[j] += square(centres[j * d + a]);
    double total = 0;
    for (Index i = 0; i < n; i++) {
        double best = INFINITY;
        for (Index j = 0; j < k; j++) {
            double distance = squares[j];
            for (Index e = starts[i]; e < starts[i + 1]; e++)
                distance += values[e] * (values[e] - 2 * centres[j * d + columns[e]]);
            best = std::min(best, distance);
        }
        total += best;
    }
    *out = total;
}

void kmeans(Index n, Index k, Index d, const double* centres, const double* points, double* out) {
    *out = nearest(n, k, d, points, centres);
}
}
