// The programs of benchmarks/workloads.py and benchmarks/promise as plain C++ for one thread, values alone.


#include "common.hpp"

struct Two { double a[2][2]; };

static Two operator*(const Two& x, const Two& y) {
    Two z;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) z.a[i][j] = x.a[i][0] * y.a[0][j] + x.a[i][1] * y.a[1][j];
    return z;
}

static Two transposed(const Two& x) { return {{{x.a[0][0], x.a[1][0]}, {x.a[0][1], x.a[1][1]}}}; }

extern "C" {

void digits(Index n, Index k, Index d, const double* alpha, const double* mu, const double* q, const double* lower,
            const double* x, double gamma, Index m, double* out) {
    std::vector<double> joint(k), r(d), scale(k * d);
    for (Index e = 0; e < k * d; e++) scale[e] = std::exp(q[e]);
    double total = 0, frobenius = 0, logs = 0;
    for (Index i = 0; i < n; i++) {
        for (Index c = 0; c < k; c++) {
            for (Index a = 0; a < d; a++) r[a] = x[i * d + a] - mu[c * d + a];
            double t = alpha[c];
            for (Index a = 0; a < d; a++) {
                double y = scale[c * d + a] * r[a];
                for (Index b = 0; b < a; b++) y += lower[(c * d + a) * d + b] * r[b];
                t += q[c * d + a] - 0.5 * y * y;
            }
            joint[c] = t;
        }
        total += log_sum_exp(joint.data(), k);
    }
    for (Index c = 0; c < k; c++)
        for (Index a = 0; a < d; a++) {
            logs += q[c * d + a];
            frobenius += square(scale[c * d + a]);
            for (Index b = 0; b < a; b++) frobenius += square(lower[(c * d + a) * d + b]);
        }
    double constant = 0.5 * n * d * std::log(2 * std::acos(-1.0));
    *out = -(total - n * log_sum_exp(alpha, k) - constant + m * logs - 0.5 * square(gamma) * frobenius);
}

void kmeans(Index n, Index k, Index d, const double* points, const double* centres, double* out) {
    *out = nearest(n, k, d, points, centres);
}

void logsumexp(Index n, const double* x, double* out) { *out = log_sum_exp(x, n); }

void lorenz(const double* state, const double* parameters, Index steps, double dt, double* out) {
    double x = state[0], y = state[1], z = state[2];
    double sigma = parameters[0], rho = parameters[1], beta = parameters[2];
    for (Index t = 0; t < steps; t++) {
        double k1x = sigma * (y - x), k1y = x * (rho - z) - y, k1z = x * y - beta * z;
        double a = x + dt / 2 * k1x, b = y + dt / 2 * k1y, c = z + dt / 2 * k1z;
        double k2x = sigma * (b - a), k2y = a * (rho - c) - b, k2z = a * b - beta * c;
        a = x + dt / 2 * k2x, b = y + dt / 2 * k2y, c = z + dt / 2 * k2z;
        double k3x = sigma * (b - a), k3y = a * (rho - c) - b, k3z = a * b - beta * c;
        a = x + dt * k3x, b = y + dt * k3y, c = z + dt * k3z;
        double k4x = sigma * (b - a), k4y = a * (rho - c) - b, k4z = a * b - beta * c;
        x += dt / 6 * (k1x + 2 * k2x + 2 * k3x + k4x);
        y += dt / 6 * (k1y + 2 * k2y + 2 * k3y + k4y);
        z += dt / 6 * (k1z + 2 * k2z + 2 * k3z + k4z);
    }
    *out = x * x + y * y + z * z;
}

void heat(Index n, Index m, const double* start, Index steps, double rate, double* out) {
    std::vector<double> u(start, start + n * m);
    for (Index t = 0; t < steps; t++)
        for (Index i = 1; i + 1 < n; i++)
            for (Index j = 1; j + 1 < m; j++) {
                double* at = &u[i * m + j];
                *at += rate * (at[-m] + at[m] + at[-1] + at[1] - 4 * *at);
            }
    double total = 0;
    for (double v : u) total += v * v;
    *out = total;
}

void tree(Index n, const Index* parent, const double* theta, double* out) {
    std::vector<double> s(n);
    double total = 0;
    for (Index i = 0; i < n; i++) {
        s[i] = i == 0 ? theta[i] : 0.5 * s[parent[i]] + theta[i] * (1 - s[parent[i]]);
        total += square(s[i]);
    }
    *out = total;
}

void seidel(Index n, const double* start, Index sweeps, double* out) {
    std::vector<double> x(start, start + n);
    for (Index t = 0; t < sweeps; t++)
        for (Index i = 1; i + 1 < n; i++) x[i] = std::tanh(0.5 * (x[i - 1] + x[i + 1]) + 0.1 * x[i]);
    double total = 0;
    for (double v : x) total += v;
    *out = total;
}

void conditional(Index n, const double* x, const double* y, double* out) {
    std::vector<double> a(x, x + n);
    for (Index i = 1; i < n; i++) {
        if (y[i] > 0)
            a[i] = a[i - 1] * y[i];
        else
            a[i - 1] = a[i] + y[i];
    }
    double total = 0;
    for (double v : a) total += v * v;
    *out = total;
}

void lookup(Index n, const double* table, double start, Index steps, double* out) {
    double x = start;
    for (Index t = 0; t < steps; t++) {
        double sum = 0;
        for (Index k = 0; k < 8; k++) sum += table[(t * 7919 + k * 104729) % n] * x;
        x = std::tanh(sum) + 0.5;
    }
    *out = x;
}

void kalman(Index n, const double* transition, const double* observation, const double* observed, double* out) {
    Two f{{{transition[0], transition[1]}, {transition[2], transition[3]}}};
    Two h{{{observation[0], observation[1]}, {observation[2], observation[3]}}}, p{{{1, 0}, {0, 1}}};
    double mean[2] = {0, 0}, likelihood = 0;
    for (Index t = 0; t < n; t++) {
        double m0 = f.a[0][0] * mean[0] + f.a[0][1] * mean[1], m1 = f.a[1][0] * mean[0] + f.a[1][1] * mean[1];
        p = f * p * transposed(f);
        for (int i = 0; i < 2; i++) p.a[i][i] += 0.1;
        double r[2];
        for (int i = 0; i < 2; i++) r[i] = observed[2 * t + i] - h.a[i][0] * m0 - h.a[i][1] * m1;
        Two s = h * p * transposed(h);
        for (int i = 0; i < 2; i++) s.a[i][i] += 0.5;
        double det = s.a[0][0] * s.a[1][1] - s.a[0][1] * s.a[1][0];
        Two precision{{{s.a[1][1] / det, -s.a[0][1] / det}, {-s.a[1][0] / det, s.a[0][0] / det}}};
        Two gain = p * transposed(h) * precision;
        double quadratic = 0;
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) quadratic += r[i] * precision.a[i][j] * r[j];
        likelihood -= 0.5 * (quadratic + std::log(det));
        mean[0] = m0 + gain.a[0][0] * r[0] + gain.a[0][1] * r[1];
        mean[1] = m1 + gain.a[1][0] * r[0] + gain.a[1][1] * r[1];
        Two less = gain * h * p;
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) p.a[i][j] -= less.a[i][j];
    }
    *out = likelihood;
}

void soft_dtw(Index n, Index m, const double* d, double* out) {
    std::vector<double> r((n + 1) * (m + 1), 1e10);
    r[0] = 0;
    for (Index i = 1; i <= n; i++)
        for (Index j = 1; j <= m; j++) {
            double *at = &r[i * (m + 1) + j], a = -at[-m - 2], b = -at[-m - 1], c = -at[-1], top = std::max({a, b, c});
            *at = d[(i - 1) * m + j - 1] - (top + std::log(std::exp(a - top) + std::exp(b - top) + std::exp(c - top)));
        }
    *out = r.back();
}

void downstream(Index n, const double* runoff, const Index* down, double* out) {
    std::vector<double> q(runoff, runoff + n);
    for (Index i = 0; i + 1 < n; i++) q[down[i]] += 0.5 * std::tanh(q[i]);
    double total = 0;
    for (double v : q) total += v * v;
    *out = total;
}

void product(const double* x, Index turns, double* out) {
    double y = 1;
    for (Index k = 0; k < turns; k++) y = y * std::cos(y * x[k % 3]) + 0.5;
    *out = y;
}

void lanes(Index n, const double* x, const Index* turns, double* out) {
    double total = 0;
    for (Index i = 0; i < n; i++) {
        double v = x[i];
        for (Index k = 0; k < turns[i]; k++) v += 0.1 * std::sin(v);
        total += v * v;
    }
    *out = total;
}

void rosenbrock(Index n, const double* x, double* out) {
    double total = 0;
    for (Index i = 0; i + 1 < n; i++) total += 100 * square(x[i + 1] - x[i] * x[i]) + square(1 - x[i]);
    *out = total;
}
}
