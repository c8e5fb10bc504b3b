/* progress.c: see progress.h. */
#include "progress.h"
#include "clock.h"
#include "format.h"
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double REDRAW_SECONDS = 0.1, LINE_SECONDS = 10;
enum { BAR_MOST = 24, BAR_LEAST = 4, LINE_ROOM = 512 };

void progress_open(ProgressBar *p, FILE *out, int64_t epochs, int64_t batches,
                   int64_t last_step)
{
    struct winsize size;
    *p = (ProgressBar){.out = out, .width = 80, .epochs = epochs};
    p->batches = batches;
    p->last_step = last_step;
    p->terminal = isatty(fileno(out));
    if (p->terminal && !ioctl(fileno(out), TIOCGWINSZ, &size) && size.ws_col)
        p->width = size.ws_col;
}

void progress_epoch(ProgressBar *p, int64_t epoch)
{
    p->epoch = epoch;
    p->steps = p->losses = p->images = p->correct = 0;
    p->loss = p->data = p->seconds = 0;
    if (p->drawn == 0)
        p->drawn = clock_now();
}

/* ---- the line ------------------------------------------------------------ */

static double share(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

/* "loss 1.2345  acc 45.6 %  812 img/s  data 2 %  1h02m left" */
static void line_figures(const ProgressBar *p, const ProgressStep *x,
                         char *text, size_t size)
{
    char left[32];
    double seconds = p->seconds;
    double each = p->all_seconds / (double)p->all_steps;
    format_duration(each * (double)(p->last_step - x->step), left, sizeof left);
    snprintf(text, size,
             "loss %.4f  acc %5.2f %%  %.0f img/s  data %.0f %%  %s left",
             p->loss / (double)p->losses,
             share((double)p->correct, (double)p->images),
             seconds > 0 ? (double)p->images / seconds : 0,
             share(p->data, seconds), left);
}

/* "epoch 3/200 [=====>    ] 128/390  ", as wide as there is room. */
static void line_head(const ProgressBar *p, const ProgressStep *x, int room,
                      char *text, size_t size)
{
    char bar[BAR_MOST + 1] = "";
    int used = snprintf(text, size, "epoch %lld/%lld ", (long long)p->epoch + 1,
                        (long long)p->epochs);
    int cells = room - used - 20;
    cells = cells > BAR_MOST ? BAR_MOST : cells;
    if (p->terminal && cells >= BAR_LEAST) {
        int done = (int)(cells * x->batch / p->batches);
        memset(bar, ' ', (size_t)cells);
        memset(bar, '=', (size_t)done);
        if (done < cells)
            bar[done] = '>';
        bar[cells] = 0;
        used += snprintf(text + used, size - (size_t)used, "[%s] ", bar);
    }
    snprintf(text + used, size - (size_t)used, "%lld/%lld  ",
             (long long)x->batch, (long long)p->batches);
}

static void draw(ProgressBar *p, const ProgressStep *x)
{
    char head[LINE_ROOM], figures[LINE_ROOM];
    line_figures(p, x, figures, sizeof figures);
    line_head(p, x, p->width - (int)strlen(figures), head, sizeof head);
    if (p->terminal) {
        char line[2 * LINE_ROOM];
        snprintf(line, sizeof line, "%s%s", head, figures);
        fprintf(p->out, "\r\033[K%.*s", p->width - 1, line);
    } else {
        fprintf(p->out, "%s%s\n", head, figures);
    }
    fflush(p->out);
    p->bar_is_up = p->terminal;
}

void progress_step(ProgressBar *p, const ProgressStep *x)
{
    p->steps++;
    p->images += x->images;
    p->correct += x->correct;
    if (isfinite(x->loss)) { /* skipped steps have none that counts */
        p->loss += x->loss;
        p->losses++;
    }
    p->data += x->data;
    p->all_steps++;
    p->seconds += x->seconds;
    p->all_seconds += x->seconds;
    double now = clock_now();
    if (now - p->drawn < (p->terminal ? REDRAW_SECONDS : LINE_SECONDS))
        return;
    p->drawn = now;
    draw(p, x);
}

void progress_note(ProgressBar *p, const char *text)
{
    if (!p->terminal)
        return;
    fprintf(p->out, "\r\033[Kepoch %lld/%lld  %s", (long long)p->epoch + 1,
            (long long)p->epochs, text);
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

static void table_head(ProgressBar *p)
{
    fprintf(p->out, "%7s  %8s  %8s  %9s  %8s  %7s  %5s  %7s  %9s\n", "epoch",
            "loss", "acc", "test loss", "test acc", "img/s", "data", "time",
            "lr");
    p->headed = true;
}

void progress_row(ProgressBar *p, const EpochRow *row)
{
    char time[32], epoch[48], loss[32] = "-", accuracy[32] = "-";
    char test_loss[32] = "-", test_accuracy[32] = "-", average[48] = "";
    double seconds = p->seconds;
    progress_clear(p);
    if (!p->headed)
        table_head(p);
    snprintf(epoch, sizeof epoch, "%lld/%lld", (long long)p->epoch + 1,
             (long long)p->epochs);
    if (p->steps) { /* none where the run went on at an epoch's end */
        snprintf(loss, sizeof loss, "%.4f", p->loss / (double)p->losses);
        snprintf(accuracy, sizeof accuracy, "%.2f %%",
                 share((double)p->correct, (double)p->images));
    }
    if (isfinite(row->test_loss)) { /* none where it was not evaluated */
        snprintf(test_loss, sizeof test_loss, "%.4f", row->test_loss);
        snprintf(test_accuracy, sizeof test_accuracy, "%.2f %%",
                 100 * row->test_accuracy);
    }
    if (row->averaged && isfinite(row->average_accuracy))
        snprintf(average, sizeof average, "  average %.2f %%",
                 100 * row->average_accuracy);
    fprintf(
        p->out, "%7s  %8s  %8s  %9s  %8s  %7.0f  %3.0f %%  %7s  %9.3g%s%s\n",
        epoch, loss, accuracy, test_loss, test_accuracy,
        seconds > 0 ? (double)p->images / seconds : 0, share(p->data, seconds),
        format_duration(row->seconds, time, sizeof time), row->lr, average,
        row->best ? "  best" : "");
    fflush(p->out);
    p->drawn = clock_now();
}
