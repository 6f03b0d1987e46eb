// What the C++ programs share.  Arrays are row-major.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

using Index = std::int64_t;

static inline double square(double x) { return x * x; }

static inline double log_sum_exp(const double* x, Index n) {
    double top = x[0], sum = 0;
    for (Index i = 1; i < n; i++) top = std::max(top, x[i]);
    for (Index i = 0; i < n; i++) sum += std::exp(x[i] - top);
    return top + std::log(sum);
}

// The sum of the squared distances of n points to the nearest of k centres.
static inline double nearest(Index n, Index k, Index d, const double* points, const double* centres) {
    double total = 0;
    for (Index i = 0; i < n; i++) {
        double best = INFINITY;
        for (Index j = 0; j < k; j++) {
            double distance = 0;
            for (Index a = 0; a < d; a++) distance += square(points[i * d + a] - centres[j * d + a]);
            best = std::min(best, distance);
        }
        total += best;
    }
    return total;
}
