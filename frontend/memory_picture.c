/* memory_picture.c: live bytes over the steps of a graph as an SVG, stacked by
 * class.
 *
 *     bytes |      __
 *           |   __/  \__          one column a step, or a column for several:
 *           |__/        \__       then the fullest of them
 *           +--------------> step
 */
#include "memory_report.h"

enum {
    LEFT = 80, /* room for the labels of the axis */
    TOP = 50,
    PLOT_W = 880,
    PLOT_H = 360,
    WIDTH = 1000,
    HEIGHT = 530,
    COLUMNS_MOST = 880,
    LEGEND_ROW = 3
};

static const char *const color[MEMORY_CLASSES] = {
    [BUF_STATE] = "#4e79a7",    [BUF_INPUT] = "#9c755f",
    [BUF_OUTPUT] = "#b07aa1",   [BUF_ACTIVATION] = "#f28e2b",
    [BUF_GRADIENT] = "#59a14f", [BUF_WORK] = "#bab0ac",
    [MEMORY_AGAIN] = "#e15759",
};

typedef struct Picture {
    const MemoryLive *l;
    FILE *out;
    uint32_t columns;
    uint32_t *step; /* of a column: the fullest that it stands for */
    double top;     /* bytes at the upper edge */
    int64_t tick;
} Picture;

static int64_t sum_live(const MemoryLive *l, uint32_t step)
{
    int64_t sum = 0;
    for (int c = 0; c < MEMORY_CLASSES; c++)
        sum += l->live[step][c];
    return sum;
}

static void choose_columns(Picture *p, Arena *a)
{
    const MemoryLive *l = p->l;
    p->columns = l->n_steps < COLUMNS_MOST ? l->n_steps : COLUMNS_MOST;
    p->step = arena_array(a, p->columns, sizeof *p->step);
    for (uint32_t i = 0; i < p->columns; i++) {
        uint32_t from = (uint32_t)((uint64_t)i * l->n_steps / p->columns);
        uint32_t to = (uint32_t)((uint64_t)(i + 1) * l->n_steps / p->columns);
        p->step[i] = from;
        for (uint32_t k = from + 1; k < to; k++)
            if (sum_live(l, k) > sum_live(l, p->step[i]))
                p->step[i] = k;
    }
}

/* Ticks a round number of bytes apart: 1, 2 or 5 times a power of two's
 * thousandfold would not be round in KiB, so powers of two are. */
static void choose_scale(Picture *p)
{
    int64_t peak = p->l->peak > 0 ? p->l->peak : 1;
    p->tick = 1;
    while (peak / p->tick >= 8)
        p->tick *= 2;
    p->top = (double)((peak + p->tick - 1) / p->tick * p->tick);
}

static double x_of(const Picture *p, uint32_t column)
{
    return LEFT + (double)PLOT_W * column / p->columns;
}

static double y_of(const Picture *p, int64_t bytes)
{
    return TOP + PLOT_H * (1 - (double)bytes / p->top);
}

static void print_axes(const Picture *p)
{
    char text[BYTES_TEXT];
    for (int64_t b = 0; (double)b <= p->top; b += p->tick) {
        double y = y_of(p, b);
        fprintf(p->out,
                "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" "
                "stroke=\"#dddddd\"/>\n"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                LEFT, LEFT + PLOT_W, y, y, LEFT - 8, y + 4,
                bytes_text(b, text));
    }
    for (int i = 0; i <= 4; i++) {
        uint32_t step = (uint32_t)((uint64_t)(p->l->n_steps - 1) * i / 4);
        fprintf(p->out,
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%u</text>\n",
                LEFT + PLOT_W * i / 4.0, TOP + PLOT_H + 18, step);
    }
    fprintf(p->out,
            "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">step</text>\n",
            LEFT + PLOT_W / 2, TOP + PLOT_H + 36);
}

/* The area of one class, between what lies under it and that plus its own. */
static void print_class(const Picture *p, int kind, int64_t *under)
{
    fprintf(p->out, "<path fill=\"%s\" d=\"M", color[kind]);
    for (uint32_t i = 0; i < p->columns; i++)
        fprintf(p->out, "%.1f,%.1f H%.1f L", x_of(p, i), y_of(p, under[i]),
                x_of(p, i + 1));
    for (uint32_t i = p->columns; i-- > 0;) {
        under[i] += p->l->live[p->step[i]][kind];
        fprintf(p->out, "%.1f,%.1f H%.1f%s", x_of(p, i + 1), y_of(p, under[i]),
                x_of(p, i), i ? " L" : " Z\"/>\n");
    }
}

static void print_legend(const Picture *p)
{
    int at = 0;
    char text[BYTES_TEXT];
    const int64_t *live = p->l->live[p->l->peak_step];
    for (int c = 0; c < MEMORY_CLASSES; c++) {
        int x = LEFT + at % LEGEND_ROW * (PLOT_W / LEGEND_ROW);
        int y = TOP + PLOT_H + 56 + at / LEGEND_ROW * 22;
        fprintf(p->out,
                "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" "
                "fill=\"%s\"/>\n<text x=\"%d\" y=\"%d\">%s: %s</text>\n",
                x, y, color[c], x + 18, y + 11, memory_class[c],
                bytes_text(live[c], text));
        at++;
    }
}

static void print_peak(const Picture *p)
{
    char a[BYTES_TEXT], b[BYTES_TEXT];
    const Graph *g = p->l->g;
    double x = LEFT + (double)PLOT_W * (p->l->peak_step + 0.5) / p->l->n_steps;
    fprintf(p->out,
            "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" "
            "stroke=\"#333333\" stroke-dasharray=\"4 3\"/>\n",
            x, x, TOP, TOP + PLOT_H);
    fprintf(p->out,
            "<text x=\"%d\" y=\"28\" font-size=\"16\">%s, graph %s, batch "
            "%.0f: %s live at the peak (step %u), arena %s</text>\n",
            LEFT, g->module->name, g->name,
            settings_number(&g->module->settings, "batch"),
            bytes_text(p->l->peak, a), p->l->peak_step,
            bytes_text(g->memory->arena_bytes, b));
}

void memory_print_picture(const MemoryLive *l, FILE *out)
{
    Arena *a = arena_new();
    Picture p = {.l = l, .out = out};
    choose_columns(&p, a);
    choose_scale(&p);
    int64_t *under = arena_array(a, p.columns, sizeof *under);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
            "height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    print_axes(&p);
    for (int kind = 0; kind < MEMORY_CLASSES; kind++)
        print_class(&p, kind, under);
    print_peak(&p);
    print_legend(&p);
    fprintf(out, "</svg>\n");
    arena_free(a);
}
