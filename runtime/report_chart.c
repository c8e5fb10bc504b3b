/* report_chart.c: curves as SVG inside the page; see report.h. */
#include "report.h"
#include <float.h>
#include <math.h>

enum {
    WIDE = 480,
    TALL = 240,
    LEFT = 52,
    RIGHT = 12,
    TOP = 12,
    BOTTOM = 30,
    TICKS = 5
};

typedef struct Axis {
    double low, high, step; /* ticks at multiples of step */
    double begin, end;      /* in the picture */
} Axis;

/* 1, 2 or 5 times a power of ten, so that there are about `TICKS`. */
static double nice_step(double range)
{
    double raw = range / TICKS, power = pow(10, floor(log10(raw)));
    double rest = raw / power;
    return power * (rest <= 1 ? 1 : rest <= 2 ? 2 : rest <= 5 ? 5 : 10);
}

static Axis axis_of(double low, double high, double begin, double end)
{
    if (!(high - low > 1e-12 * fabs(high))) {
        double more = high != 0 ? fabs(high) / 2 : 1;
        low -= more;
        high += more;
    }
    Axis a = {.step = nice_step(high - low), .begin = begin, .end = end};
    a.low = floor(low / a.step + 1e-9) * a.step;
    a.high = ceil(high / a.step - 1e-9) * a.step;
    return a;
}

static double place(const Axis *a, double v)
{
    return a->begin + (v - a->low) / (a->high - a->low) * (a->end - a->begin);
}

static void bounds(const ChartLine *line, int n, ChartPoint *low,
                   ChartPoint *high)
{
    *low = (ChartPoint){DBL_MAX, DBL_MAX};
    *high = (ChartPoint){-DBL_MAX, -DBL_MAX};
    for (int k = 0; k < n; k++)
        for (size_t i = 0; i < line[k].n; i++) {
            ChartPoint p = line[k].point[i];
            if (!isfinite(p.y) || !isfinite(p.x))
                continue;
            low->x = fmin(low->x, p.x);
            low->y = fmin(low->y, p.y);
            high->x = fmax(high->x, p.x);
            high->y = fmax(high->y, p.y);
        }
}

static void print_grid(FILE *out, const Axis *x, const Axis *y, bool percent)
{
    for (double v = y->low; v <= y->high + y->step / 2; v += y->step) {
        double at = place(y, v), shown = fabs(v) < y->step / 1e6 ? 0 : v;
        fprintf(out,
                "<line class=grid x1=%d x2=%d y1=%.1f y2=%.1f />"
                "<text class=tick x=%d y=%.1f text-anchor=end>%.4g%s</text>\n",
                LEFT, WIDE - RIGHT, at, at, LEFT - 6, at + 4,
                percent ? 100 * shown : shown, percent ? " %" : "");
    }
    double step = x->step < 1 ? 1 : x->step; /* epochs are whole */
    for (double v = ceil(x->low / step) * step; v <= x->high + step / 1e6;
         v += step)
        fprintf(out,
                "<text class=tick x=%.1f y=%d text-anchor=middle>%.6g</text>\n",
                place(x, v), TALL - BOTTOM + 16, v);
    fprintf(out, "<text class=tick x=%d y=%d text-anchor=end>epoch</text>\n",
            WIDE - RIGHT, TALL - 2);
}

/* A point alone is a dot. */
static void print_line(FILE *out, const ChartLine *line, const Axis *x,
                       const Axis *y)
{
    size_t drawn = 0;
    ChartPoint last = {0, 0};
    fprintf(out, "<polyline class=\"line %s\" points=\"", line->style);
    for (size_t i = 0; i < line->n; i++) {
        ChartPoint p = line->point[i];
        if (!isfinite(p.y) || !isfinite(p.x))
            continue;
        fprintf(out, "%s%.1f,%.1f", drawn++ ? " " : "", place(x, p.x),
                place(y, p.y));
        last = p;
    }
    fputs("\" />\n", out);
    if (drawn && drawn < 30)
        fprintf(out, "<circle class=\"dot %s\" cx=%.1f cy=%.1f r=3 />\n",
                line->style, place(x, last.x), place(y, last.y));
}

void chart_print(FILE *out, const char *title, const ChartLine *line, int n,
                 bool percent)
{
    ChartPoint low, high;
    bounds(line, n, &low, &high);
    if (low.x > high.x)
        return;
    Axis x = axis_of(low.x, high.x, LEFT, WIDE - RIGHT);
    Axis y = axis_of(low.y, high.y, TALL - BOTTOM, TOP);
    x.low = low.x; /* no room lost at the sides */
    x.high = high.x > low.x ? high.x : low.x + 1;
    fprintf(out, "<figure><figcaption>%s", title);
    for (int k = 0; k < n; k++)
        if (line[k].name)
            fprintf(out, "<span class=\"key %s\">%s</span>", line[k].style,
                    line[k].name);
    fprintf(out,
            "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=img "
            "aria-label=\"%s\">\n",
            WIDE, TALL, title);
    print_grid(out, &x, &y, percent);
    for (int k = 0; k < n; k++)
        print_line(out, &line[k], &x, &y);
    fputs("</svg></figure>\n", out);
}
