/* progress.c: see progress.h. */
#include "progress.h"
#include "clock.h"
#include "format.h"
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double REDRAW_SECONDS = 0.1;
/* Between lines that are not on a terminal: ten an epoch or so. */
static const double LINE_SECONDS = 10, LINE_MOST = 600;
enum { BAR_MOST = 24, BAR_LEAST = 4, LINE_ROOM = 512, CELL_ROOM = 48 };

void progress_open(ProgressBar *p, FILE *out, const ProgressPlan *plan)
{
    struct winsize size;
    *p = (ProgressBar){.out = out, .plan = *plan, .width = 100};
    p->terminal = isatty(fileno(out));
    if (p->terminal && !ioctl(fileno(out), TIOCGWINSZ, &size) && size.ws_col)
        p->width = size.ws_col;
}

void progress_epoch(ProgressBar *p, int64_t epoch, const EpochSums *done)
{
    p->epoch = epoch;
    p->sums = *done;
    if (p->drawn == 0)
        p->drawn = clock_now();
}

static double share(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static double seconds_of(const EpochSums *x)
{
    return x->data + x->compute;
}

static double images_per_second(const ProgressBar *p)
{
    double seconds = seconds_of(&p->sums);
    return seconds > 0 ? (double)p->sums.images / seconds : 0;
}

static const char *speed_unit(const ProgressBar *p)
{
    return strcmp(p->plan.things, "images") ? "samples/s" : "img/s";
}

/* ---- cells --------------------------------------------------------------- */

/* One of several things in a line, two blanks before it.  Where there is no
 * room, those of the highest rank are left out; rank 0 stays. */
typedef struct Cell {
    char text[CELL_ROOM];
    int width, rank; /* width 0: left out */
} Cell;

static void cells_fit(Cell *cell, int n, int room)
{
    for (;;) {
        int used = 0, most = 0;
        for (int i = 0; i < n; i++) {
            used += cell[i].width ? cell[i].width + 2 : 0;
            if (cell[i].width && cell[i].rank > cell[most].rank)
                most = i;
        }
        if (used <= room || !cell[most].rank)
            return;
        cell[most] = (Cell){.width = 0};
    }
}

/* How many characters that is. */
static int cells_print(const Cell *cell, int n, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < n && used < size; i++)
        if (cell[i].width)
            used += (size_t)snprintf(text + used, size - used, "  %*s",
                                     cell[i].width, cell[i].text);
    return (int)strlen(text);
}

/* ---- the line ------------------------------------------------------------ */

static double seconds_left(const ProgressBar *p, const ProgressStep *x)
{
    double step = p->all_seconds / (double)p->all_steps;
    double end = p->ends ? p->end_seconds / (double)p->ends : 0;
    return (double)(p->plan.last_step - x->step) *
           (step + end / (double)p->plan.batches);
}

enum { FIGURES = 6 };

/* "loss 1.2345  acc 45.60 %  812 img/s  data 2 %  3 skipped  1h02m left" */
static void line_cells(const ProgressBar *p, const ProgressStep *x,
                       Cell cell[FIGURES])
{
    char left[32];
    const int rank[FIGURES] = {0, 1, 3, 4, 2, 0};
    memset(cell, 0, FIGURES * sizeof *cell);
    if (p->sums.losses)
        snprintf(cell[0].text, CELL_ROOM, "loss %.4f",
                 p->sums.loss / (double)p->sums.losses);
    snprintf(cell[1].text, CELL_ROOM, "acc %5.2f %%",
             share((double)p->sums.correct, (double)p->sums.images));
    snprintf(cell[2].text, CELL_ROOM, "%.0f %s", images_per_second(p),
             speed_unit(p));
    snprintf(cell[3].text, CELL_ROOM, "data %.0f %%",
             share(p->sums.data, seconds_of(&p->sums)));
    if (x->skips)
        snprintf(cell[4].text, CELL_ROOM, "%lld skipped", (long long)x->skips);
    snprintf(cell[5].text, CELL_ROOM, "%s left",
             format_duration(seconds_left(p, x), left, sizeof left));
    for (int i = 0; i < FIGURES; i++) {
        cell[i].width = (int)strlen(cell[i].text);
        cell[i].rank = rank[i];
    }
}

/* " [=====>    ]" in `room` columns; nothing where that is too few. */
static void line_bar(const ProgressBar *p, const ProgressStep *x, int room,
                     char text[BAR_MOST + 8])
{
    int cells = room - 3 > BAR_MOST ? BAR_MOST : room - 3;
    text[0] = 0;
    if (!p->terminal || cells < BAR_LEAST)
        return;
    int done = (int)(cells * x->batch / p->plan.batches);
    snprintf(text, BAR_MOST + 8, " [%*s]", cells, "");
    memset(text + 2, '=', (size_t)done);
    if (done < cells)
        text[2 + done] = '>';
}

/* "epoch 3/200 [=====>    ] 128/390  loss ..", as wide as there is room. */
static void draw(ProgressBar *p, const ProgressStep *x)
{
    char epoch[64], batch[64], figures[LINE_ROOM], bar[BAR_MOST + 8];
    Cell cell[FIGURES];
    int room = p->width - 1;
    room -= snprintf(epoch, sizeof epoch, "epoch %lld/%lld",
                     (long long)p->epoch + 1, (long long)p->plan.epochs);
    room -= snprintf(batch, sizeof batch, " %lld/%lld", (long long)x->batch,
                     (long long)p->plan.batches);
    line_cells(p, x, cell);
    if (p->terminal)
        cells_fit(cell, FIGURES, room);
    room -= cells_print(cell, FIGURES, figures, sizeof figures);
    line_bar(p, x, room, bar);
    if (p->terminal) {
        char line[2 * LINE_ROOM];
        snprintf(line, sizeof line, "%s%s%s%s", epoch, bar, batch, figures);
        fprintf(p->out, "\r\033[K%.*s", p->width - 1, line);
    } else {
        fprintf(p->out, "%s%s%s\n", epoch, batch, figures);
    }
    fflush(p->out);
    p->bar_is_up = p->terminal;
}

/* How long what is shown stays. */
static double pause_seconds(const ProgressBar *p)
{
    double epoch =
        (double)p->plan.batches * p->all_seconds / (double)p->all_steps;
    if (p->terminal)
        return REDRAW_SECONDS;
    return fmax(LINE_SECONDS, fmin(0.1 * epoch, LINE_MOST));
}

void progress_step(ProgressBar *p, const ProgressStep *x)
{
    p->sums.steps++;
    p->sums.images += x->images;
    p->sums.correct += x->correct;
    if (isfinite(x->loss)) { /* skipped steps have none that counts */
        p->sums.loss += x->loss;
        p->sums.losses++;
    }
    p->sums.data += x->data;
    p->sums.compute += x->seconds - x->data;
    p->all_steps++;
    p->all_seconds += x->seconds;
    double now = clock_now();
    if (now - p->drawn < pause_seconds(p))
        return;
    p->drawn = now;
    draw(p, x);
}

void progress_note(ProgressBar *p, const char *text)
{
    if (!p->terminal)
        return;
    fprintf(p->out, "\r\033[Kepoch %lld/%lld  %s", (long long)p->epoch + 1,
            (long long)p->plan.epochs, text);
    fflush(p->out);
    p->bar_is_up = true;
}

void progress_clear(ProgressBar *p)
{
    if (p->bar_is_up)
        fprintf(p->out, "\r\033[K");
    p->bar_is_up = false;
    fflush(p->out);
}

/* ---- the table ----------------------------------------------------------- */

enum { HEAD_EVERY = 40 }; /* rows on a terminal, which scrolls */

typedef enum Column {
    COLUMN_EPOCH,
    COLUMN_LOSS,
    COLUMN_ACCURACY,
    COLUMN_TEST_LOSS,
    COLUMN_TEST_ACCURACY,
    COLUMN_AVERAGE, /* accuracy of the averaged weights */
    COLUMN_SPEED,
    COLUMN_DATA,
    COLUMN_TIME,
    COLUMN_LR,
    COLUMN_BEST,
    COLUMNS
} Column;

/* As wide as they come, ranks for narrow terminals; at most 100 in all. */
static const Cell column[COLUMNS] = {
    [COLUMN_EPOCH] = {"epoch", 7, 0},
    [COLUMN_LOSS] = {"loss", 6, 0},
    [COLUMN_ACCURACY] = {"acc", 8, 1},
    [COLUMN_TEST_LOSS] = {"loss", 9, 3},
    [COLUMN_TEST_ACCURACY] = {"acc", 8, 0},
    [COLUMN_AVERAGE] = {"average", 8, 0},
    [COLUMN_SPEED] = {"", 6, 5},
    [COLUMN_DATA] = {"data", 5, 6},
    [COLUMN_TIME] = {"time", 6, 2},
    [COLUMN_LR] = {"lr", 8, 4},
    [COLUMN_BEST] = {"", 4, 0},
};

/* Prints the cells as far as a terminal has room; without the column of
 * averages where there are none. */
static void table_print(ProgressBar *p, Cell cell[COLUMNS], bool averaged)
{
    char line[LINE_ROOM];
    if (!averaged)
        cell[COLUMN_AVERAGE].width = 0;
    if (p->terminal)
        cells_fit(cell, COLUMNS, p->width + 1); /* none before the first */
    int n = cells_print(cell, COLUMNS, line, sizeof line);
    while (n > 0 && line[n - 1] == ' ')
        n--;
    fprintf(p->out, "%.*s\n", n > 2 ? n - 2 : 0, line + 2);
}

static void table_cells(const ProgressBar *p, Cell cell[COLUMNS])
{
    Cell *speed = &cell[COLUMN_SPEED];
    memcpy(cell, column, sizeof column);
    int n = snprintf(speed->text, CELL_ROOM, "%s", speed_unit(p));
    speed->width = n > speed->width ? n : speed->width;
}

static void table_head(ProgressBar *p, bool averaged)
{
    Cell cell[COLUMNS];
    const char *on = p->plan.validation ? "val" : "test";
    table_cells(p, cell);
    for (int i = COLUMN_TEST_LOSS; i <= COLUMN_TEST_ACCURACY; i++)
        snprintf(cell[i].text, CELL_ROOM, "%s %s", on, column[i].text);
    table_print(p, cell, averaged);
}

/* "-" for what there is none of. */
static void cell_percent(Cell *cell, double v)
{
    if (isfinite(v))
        snprintf(cell->text, CELL_ROOM, "%.2f %%", 100 * v);
}

static void cell_loss(Cell *cell, double v)
{
    if (isfinite(v))
        snprintf(cell->text, CELL_ROOM, fabs(v) < 1e3 ? "%.4f" : "%.3g", v);
}

static void table_row(ProgressBar *p, const EpochRow *row)
{
    Cell cell[COLUMNS];
    table_cells(p, cell);
    for (int i = 0; i < COLUMNS; i++)
        snprintf(cell[i].text, CELL_ROOM, "-");
    snprintf(cell[COLUMN_EPOCH].text, CELL_ROOM, "%lld/%lld",
             (long long)p->epoch + 1, (long long)p->plan.epochs);
    if (p->sums.losses) /* none where the run went on at an epoch's end */
        cell_loss(&cell[COLUMN_LOSS], p->sums.loss / (double)p->sums.losses);
    if (p->sums.images)
        cell_percent(&cell[COLUMN_ACCURACY],
                     (double)p->sums.correct / (double)p->sums.images);
    cell_loss(&cell[COLUMN_TEST_LOSS], row->test_loss);
    cell_percent(&cell[COLUMN_TEST_ACCURACY], row->test_accuracy);
    cell_percent(&cell[COLUMN_AVERAGE], row->average_accuracy);
    snprintf(cell[COLUMN_SPEED].text, CELL_ROOM, "%.0f", images_per_second(p));
    snprintf(cell[COLUMN_DATA].text, CELL_ROOM, "%.0f %%",
             share(p->sums.data, seconds_of(&p->sums)));
    format_duration(row->seconds, cell[COLUMN_TIME].text, CELL_ROOM);
    snprintf(cell[COLUMN_LR].text, CELL_ROOM, "%.3g", row->lr);
    snprintf(cell[COLUMN_BEST].text, CELL_ROOM, "%s", row->best ? "best" : "");
    table_print(p, cell, row->averaged);
}

void progress_row(ProgressBar *p, const EpochRow *row)
{
    progress_clear(p);
    if (p->terminal ? p->rows % HEAD_EVERY == 0 : p->rows == 0)
        table_head(p, row->averaged);
    p->rows++;
    table_row(p, row);
    fflush(p->out);
    p->ends++;
    p->end_seconds += fmax(0, row->seconds - seconds_of(&p->sums));
    p->drawn = clock_now();
}
