/* suggest.h: for "did you mean": offer names one by one, then ask. */
#ifndef TGC_SUGGEST_H
#define TGC_SUGGEST_H

typedef struct Suggestion {
    const char *wanted, *best;
    int distance;
} Suggestion;
Suggestion suggest_for(const char *wanted);
void suggest_offer(Suggestion *s, const char *name);
/* NULL where nothing offered was close. */
const char *suggest_best(const Suggestion *s);

#endif
