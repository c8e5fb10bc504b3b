/* report.h: a run as one page of HTML that needs nothing else: curves, where
 * the time went, memory, classes, what was taken for what, advice, settings.
 */
#ifndef TGC_REPORT_H
#define TGC_REPORT_H

#include "advice.h"
#include "data.h"
#include "plan.h"
#include <stdio.h>

typedef struct ReportInput {
    const Plan *plan;
    const char *folder;  /* of the run */
    const DataSet *test; /* for pictures and names of classes; or NULL */
} ReportInput;

/* Writes report.html into the run's folder, and gives the advice that is in
 * it.  False where the folder holds no run, or the page cannot be written. */
bool report_write(const ReportInput *in, Advice *advice, Status *s);

/* ---- its parts: report_chart.c, report_classes.c ------------------------- */

typedef struct ChartPoint {
    double x, y; /* y NAN: left out */
} ChartPoint;

typedef struct ChartLine {
    const char *name, *style; /* a class of the page's style sheet */
    const ChartPoint *point;
    size_t n;
} ChartLine;

/* The x axis counts epochs; percent: y is 0..1, shown as 0 to 100 %. */
void chart_print(FILE *out, const char *title, const ChartLine *line, int n,
                 bool percent);

/* Per-class accuracy, confusion matrix, wrongly classified images. */
void classes_print(FILE *out, const History *h, const DataSet *test);

/* Text with what HTML takes for its own escaped. */
void html_text(FILE *out, const char *text);

#endif
