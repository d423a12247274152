#include "draw/colormap.h"

#include <math.h>

/* ---- Oklab ---- */

static double to_linear(double v)
{
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double from_linear(double v)
{
    return v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055;
}

static void multiply(const double m[3][3], const double in[3], double out[3])
{
    for (int i = 0; i < 3; i++)
        out[i] = m[i][0] * in[0] + m[i][1] * in[1] + m[i][2] * in[2];
}

dcls_oklab dcls_oklab_from_rgb(const double rgb[3])
{
    static const double to_lms[3][3] = {{0.4122214708, 0.5363325363, 0.0514459929},
                                        {0.2119034982, 0.6806995451, 0.1073969566},
                                        {0.0883024619, 0.2817188376, 0.6299787005}};
    static const double to_lab[3][3] = {{0.2104542553, 0.7936177850, -0.0040720468},
                                        {1.9779984951, -2.4285922050, 0.4505937099},
                                        {0.0259040371, 0.7827717662, -0.8086757660}};
    double linear[3], lms[3], lab[3];
    for (int i = 0; i < 3; i++)
        linear[i] = to_linear(rgb[i]);
    multiply(to_lms, linear, lms);
    for (int i = 0; i < 3; i++)
        lms[i] = cbrt(lms[i]);
    multiply(to_lab, lms, lab);
    return (dcls_oklab){lab[0], lab[1], lab[2]};
}

bool dcls_oklab_to_rgb(dcls_oklab color, double rgb[3])
{
    static const double to_lms[3][3] = {{1, 0.3963377774, 0.2158037573},
                                        {1, -0.1055613458, -0.0638541728},
                                        {1, -0.0894841775, -1.2914855480}};
    static const double to_rgb[3][3] = {{4.0767416621, -3.3077115913, 0.2309699292},
                                        {-1.2684380046, 2.6097574011, -0.3413193965},
                                        {-0.0041960863, -0.7034186147, 1.7076147010}};
    double lab[3] = {color.L, color.a, color.b}, lms[3];
    bool inside = true;
    multiply(to_lms, lab, lms);
    for (int i = 0; i < 3; i++)
        lms[i] = lms[i] * lms[i] * lms[i];
    multiply(to_rgb, lms, rgb);
    for (int i = 0; i < 3; i++) {
        inside &= rgb[i] >= -1e-4 && rgb[i] <= 1 + 1e-4;
        rgb[i] = from_linear(fmin(fmax(rgb[i], 0), 1));
    }
    return inside;
}

/* ---- maps ---- */

static double distance(dcls_oklab a, dcls_oklab b)
{
    return sqrt((a.L - b.L) * (a.L - b.L) + (a.a - b.a) * (a.a - b.a) + (a.b - b.b) * (a.b - b.b));
}

/* A smooth curve through the points (Catmull-Rom); t from 0 to count - 1. */
static double through(const double *p, int count, double t)
{
    int i = (int)fmin(floor(t), count - 2);
    double u = t - i, at[4];
    for (int k = 0; k < 4; k++) {
        int from = i - 1 + k;
        at[k] = from < 0 ? 2 * p[0] - p[1] : from >= count ? 2 * p[count - 1] - p[count - 2] : p[from];
    }
    return at[1] +
           u / 2 *
               (at[2] - at[0] +
                u * (2 * at[0] - 5 * at[1] + 4 * at[2] - at[3] + u * (3 * (at[1] - at[2]) + at[3] - at[0])));
}

enum { POINTS = 5, FINE = 2048 };

typedef struct path {
    double L[POINTS], chroma[POINTS], hue[POINTS]; /* hue in degrees */
} path;

static dcls_oklab on_path(const path *p, double t)
{
    double turn = through(p->hue, POINTS, t) * 3.14159265358979323846 / 180,
           chroma = through(p->chroma, POINTS, t);
    return (dcls_oklab){through(p->L, POINTS, t), chroma * cos(turn), chroma * sin(turn)};
}

/* `count` colours at equal distances along the path, from its start to its end. */
static void walk(const path *p, int count, uint8_t (*rgb)[3])
{
    double length[FINE + 1] = {0};
    for (int i = 1; i <= FINE; i++)
        length[i] = length[i - 1] + distance(on_path(p, (POINTS - 1.0) * (i - 1) / FINE),
                                             on_path(p, (POINTS - 1.0) * i / FINE));
    for (int c = 0, i = 0; c < count; c++) {
        double wanted = length[FINE] * c / (count - 1), color[3];
        while (i < FINE - 1 && length[i + 1] < wanted)
            i++;
        double part = (wanted - length[i]) / (length[i + 1] - length[i]);
        dcls_oklab_to_rgb(on_path(p, (POINTS - 1) * (i + part) / FINE), color);
        for (int k = 0; k < 3; k++)
            rgb[c][k] = (uint8_t)lround(color[k] * 255);
    }
}

void dcls_colormap_sequential(dcls_colormap *map)
{
    static const path pale_to_dark = {
        {0.985, 0.85, 0.67, 0.47, 0.26}, {0.012, 0.085, 0.09, 0.088, 0.085}, {115, 145, 190, 245, 290}};
    walk(&pale_to_dark, DCLS_COLORMAP_COLORS, map->rgb);
}

void dcls_colormap_diverging(dcls_colormap *map)
{
    static const path blue = {
        {0.985, 0.86, 0.73, 0.60, 0.46}, {0, 0.06, 0.11, 0.14, 0.125}, {250, 250, 252, 254, 256}};
    static const path orange = {
        {0.985, 0.86, 0.73, 0.60, 0.46}, {0, 0.06, 0.11, 0.135, 0.118}, {70, 66, 60, 52, 46}};
    enum { ARM = DCLS_COLORMAP_COLORS / 2 + 1 };
    uint8_t arm[ARM][3];
    walk(&blue, ARM, arm);
    for (int i = 0; i < ARM; i++)
        for (int k = 0; k < 3; k++)
            map->rgb[ARM - 1 - i][k] = arm[i][k];
    walk(&orange, ARM, map->rgb + ARM - 1);
}

const uint8_t *dcls_colormap_at(const dcls_colormap *map, double value)
{
    static const uint8_t unknown[3] = {150, 150, 150};
    if (isnan(value)) return unknown;
    return map->rgb[(int)lround(fmin(fmax(value, 0), 1) * (DCLS_COLORMAP_COLORS - 1))];
}

dcls_color dcls_color_negative(double alpha)
{
    return (dcls_color){0.09, 0.35, 0.68, alpha};
}

dcls_color dcls_color_positive(double alpha)
{
    return (dcls_color){0.90, 0.50, 0.05, alpha};
}
