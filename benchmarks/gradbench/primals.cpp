// The evaluations as plain C++ for one thread, as one writes them who doesn't care for derivatives: what `--own` measures
// by.  Arrays are row-major.


#include "../common.hpp"

static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

static double minor(const double* a, Index n, Index row, const std::vector<Index>& columns) {
    if (columns.size() == 1) return a[row * n + columns[0]];
    std::vector<Index> rest(columns.begin() + 1, columns.end());
    double total = 0, sign = 1;
    for (size_t j = 0; j < columns.size(); j++, sign = -sign) {
        total += sign * a[row * n + columns[j]] * minor(a, n, row + 1, rest);
        if (j < rest.size()) rest[j] = columns[j];
    }
    return total;
}

// What follows is called: the sizes, the arrays read, the array written.
extern "C" {

void llsq(Index m, Index n, const double* x, double* out) {
    double total = 0;
    for (Index i = 0; i < n; i++) {
        double t = -1 + 2.0 * i / (n - 1), error = (t > 0) - (t < 0), power = 1;
        for (Index j = 0; j < m; j++) {
            error -= x[j] * power;
            power *= t;
        }
        total += square(error);
    }
    *out = total / 2;
}

void lse(Index n, const double* x, double* out) { *out = log_sum_exp(x, n); }

void gmm(Index d, Index k, Index n, Index m, const double* alpha, const double* mu, const double* q, const double* l,
         const double* x, double* out) {  // gamma = 1
    Index below = d * (d - 1) / 2;
    std::vector<double> scale(k * d), logs(k), r(d), y(d), beta(k);
    for (Index c = 0; c < k; c++)
        for (Index a = 0; a < d; a++) {
            scale[c * d + a] = std::exp(q[c * d + a]);
            logs[c] += q[c * d + a];
        }
    double likelihood = 0, frobenius = 0, sum = 0;
    for (Index i = 0; i < n; i++) {
        for (Index c = 0; c < k; c++) {
            for (Index a = 0; a < d; a++) {
                r[a] = x[i * d + a] - mu[c * d + a];
                y[a] = scale[c * d + a] * r[a];
            }
            const double* entry = l + c * below;
            for (Index b = 0; b < d; b++)
                for (Index a = b + 1; a < d; a++) y[a] += *entry++ * r[b];
            double norm = 0;
            for (Index a = 0; a < d; a++) norm += square(y[a]);
            beta[c] = alpha[c] + logs[c] - 0.5 * norm;
        }
        likelihood += log_sum_exp(beta.data(), k);
    }
    for (Index e = 0; e < k * d; e++) frobenius += square(scale[e]);
    for (Index e = 0; e < k * below; e++) frobenius += square(l[e]);
    for (Index c = 0; c < k; c++) sum += logs[c];
    double nu = d + m + 1, pi = std::acos(-1.0), gammas = d * (d - 1) / 4.0 * std::log(pi);
    for (Index j = 0; j < d; j++) gammas += std::lgamma(nu / 2 - j / 2.0);
    *out = likelihood - n * log_sum_exp(alpha, k) - n * d / 2.0 * std::log(2 * pi) + m * sum - 0.5 * frobenius +
           k * (-nu * d * 0.5 * std::log(2.0) - gammas);
}

void lstm(Index layers, Index characters, const double* parameters, const double* extra, const double* start,
          const double* sequence, double* out) {
    const Index b = 14;
    std::vector<double> state(start, start + 2 * layers * b), x(b), y(b);
    double total = 0;
    for (Index t = 0; t + 1 < characters; t++) {
        for (Index j = 0; j < b; j++) x[j] = sequence[t * b + j] * extra[j];
        for (Index i = 0; i < layers; i++) {
            const double *w = parameters + 8 * b * i, *bias = w + 4 * b;
            double *h = &state[2 * i * b], *c = h + b;
            for (Index j = 0; j < b; j++) {
                double forget = sigmoid(x[j] * w[j] + bias[j]);
                double into = sigmoid(h[j] * w[b + j] + bias[b + j]);
                double says = sigmoid(x[j] * w[2 * b + j] + bias[2 * b + j]);
                double change = std::tanh(h[j] * w[3 * b + j] + bias[3 * b + j]);
                c[j] = c[j] * forget + into * change;
                x[j] = h[j] = says * std::tanh(c[j]);
            }
        }
        double sum = 2;
        for (Index j = 0; j < b; j++) {
            y[j] = x[j] * extra[b + j] + extra[2 * b + j];
            sum += std::exp(y[j]);
        }
        for (Index j = 0; j < b; j++) total += sequence[(t + 1) * b + j] * (y[j] - std::log(sum));
    }
    *out = -total / (b * (characters - 1));
}

void ode(Index n, Index steps, const double* x, double* y) {
    double h = 2.0 / steps;
    std::vector<double> k1(n), k2(n), k3(n), k4(n), at(n);
    auto slope = [&](const double* from, double* to) {
        to[0] = x[0];
        for (Index i = 1; i < n; i++) to[i] = x[i] * from[i - 1];
    };
    std::fill(y, y + n, 0.0);
    for (Index s = 0; s < steps; s++) {
        slope(y, k1.data());
        for (Index i = 0; i < n; i++) at[i] = y[i] + h / 2 * k1[i];
        slope(at.data(), k2.data());
        for (Index i = 0; i < n; i++) at[i] = y[i] + h / 2 * k2[i];
        slope(at.data(), k3.data());
        for (Index i = 0; i < n; i++) at[i] = y[i] + h * k3[i];
        slope(at.data(), k4.data());
        for (Index i = 0; i < n; i++) y[i] += h / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]);
    }
}

void det(Index n, const double* a, double* out) {
    std::vector<Index> columns(n);
    for (Index j = 0; j < n; j++) columns[j] = j;
    *out = minor(a, n, 0, columns);
}

void kmeans(Index k, Index n, Index d, const double* points, const double* centroids, double* out) {
    *out = nearest(n, k, d, points, centroids);
}

void ba(Index p, const double* cameras, const double* points, const double* weights, const Index* observations,
        const double* features, double* out) {
    for (Index i = 0; i < p; i++) {
        const double *camera = cameras + 11 * observations[2 * i], *point = points + 3 * observations[2 * i + 1];
        double v[3], turned[3], theta2 = 0;
        for (int a = 0; a < 3; a++) {
            v[a] = point[a] - camera[3 + a];
            theta2 += square(camera[a]);
        }
        double theta = std::sqrt(theta2), c = 1, s = 1, axis[3] = {camera[0], camera[1], camera[2]};
        if (theta2 != 0) {
            c = std::cos(theta);
            s = std::sin(theta);
            for (double& a : axis) a /= theta;
        }
        double along = (axis[0] * v[0] + axis[1] * v[1] + axis[2] * v[2]) * (1 - c);
        for (int a = 0; a < 3; a++) {
            int b = (a + 1) % 3, e = (a + 2) % 3;
            turned[a] = v[a] * c + (axis[b] * v[e] - axis[e] * v[b]) * s + axis[a] * along;
        }
        double x = turned[0] / turned[2], y = turned[1] / turned[2], r2 = x * x + y * y;
        double scale = (1 + camera[9] * r2 + camera[10] * r2 * r2) * camera[6];
        out[2 * i] = weights[i] * (x * scale + camera[7] - features[2 * i]);
        out[2 * i + 1] = weights[i] * (y * scale + camera[8] - features[2 * i + 1]);
        out[2 * p + i] = 1 - square(weights[i]);
    }
}

void ht(Index vertices, Index n, const double* theta, const double* us, const Index* parents, const double* relatives,
        const double* inverses, const double* base, const double* weights, const Index* triangles,
        const Index* correspondences, const double* points, double* out) {
    const int bones = 22;
    struct Matrix { double at[4][4]; };
    auto product = [](const Matrix& a, const Matrix& b) {
        Matrix c{};
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++)
                for (int j = 0; j < 4; j++) c.at[i][j] += a.at[i][k] * b.at[k][j];
        return c;
    };
    std::vector<Matrix> absolute(bones);
    std::vector<double> where(3 * vertices);
    for (int b = 0; b < bones; b++) {
        double x = 0, z = 0;
        if (b >= 2 && (b - 2) % 4 < 3) {
            const double* finger = theta + 6 + (b - 2) / 4 * 4;
            int joint = (b - 2) % 4;
            x = finger[joint == 0 ? 0 : joint + 1];
            z = joint == 0 ? finger[1] : 0;
        }
        double cx = std::cos(x), sx = std::sin(x), cz = std::cos(z), sz = std::sin(z);
        Matrix turn{{{cz, -sz * cx, sz * sx, 0}, {sz, cz * cx, -cz * sx, 0}, {0, sx, cx, 0}, {0, 0, 0, 1}}};
        Matrix own = product(reinterpret_cast<const Matrix*>(relatives)[b], turn);
        absolute[b] = parents[b] < 0 ? own : product(absolute[parents[b]], own);
    }
    for (int b = 0; b < bones; b++) {
        Matrix t = product(absolute[b], reinterpret_cast<const Matrix*>(inverses)[b]);
        for (Index v = 0; v < vertices; v++)
            for (int i = 0; i < 3; i++) {
                double moved = 0;
                for (int j = 0; j < 4; j++) moved += t.at[i][j] * base[4 * v + j];
                where[3 * v + i] += weights[bones * v + b] * moved;
            }
    }
    double norm = std::sqrt(square(theta[0]) + square(theta[1]) + square(theta[2])), r[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    if (norm >= 1e-4) {
        double x = theta[0] / norm, y = theta[1] / norm, z = theta[2] / norm, s = std::sin(norm), c = std::cos(norm);
        double full[3][3] = {{x * x + (1 - x * x) * c, x * y * (1 - c) - z * s, x * z * (1 - c) + y * s},
                             {x * y * (1 - c) + z * s, y * y + (1 - y * y) * c, y * z * (1 - c) - x * s},
                             {x * z * (1 - c) - y * s, z * y * (1 - c) + x * s, z * z + (1 - z * z) * c}};
        std::copy(&full[0][0], &full[0][0] + 9, &r[0][0]);
    }
    for (Index v = 0; v < vertices; v++) {
        double* w = &where[3 * v];
        double turned[3];
        for (int i = 0; i < 3; i++) turned[i] = r[i][0] * w[0] + r[i][1] * w[1] + r[i][2] * w[2] + theta[3 + i];
        std::copy(turned, turned + 3, w);
    }
    for (Index i = 0; i < n; i++)
        for (int j = 0; j < 3; j++) {
            double seen;
            if (!us) {
                seen = where[3 * correspondences[i] + j];
            } else {
                const Index* t = triangles + 3 * correspondences[i];
                double u = us[2 * i], v = us[2 * i + 1];
                seen = u * where[3 * t[0] + j] + v * where[3 * t[1] + j] + (1 - u - v) * where[3 * t[2] + j];
            }
            out[3 * i + j] = points[3 * i + j] - seen;
        }
}
}
