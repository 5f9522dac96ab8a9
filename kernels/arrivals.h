/* Who arrives when: at given times, or, in a closed loop, when a client has thought about it. */
#ifndef ADVISOR_ARRIVALS_H
#define ADVISOR_ARRIVALS_H

#include <math.h>
#include <stddef.h>

/* Arrays belong to somebody else. */
typedef struct {
    double *arrived_s;     /* (requests,) of an open loop ascending, of a closed loop as far as planned */
    const double *think_s; /* (requests,); NULL: the loop is open */
    ptrdiff_t *pending;    /* (clients,) a heap of those planned: nobody is sooner than his parent at (i - 1) / 2 */
    ptrdiff_t requests, planned, count;
    double next_s; /* infinity: nobody is to arrive */
} arrivals;

/* Of those that arrive together the first in order is the sooner. */
static inline int arrivals_is_sooner(const arrivals *coming, ptrdiff_t one, ptrdiff_t other) {
    const double *arrived_s = coming->arrived_s;
    return arrived_s[one] < arrived_s[other] || (arrived_s[one] == arrived_s[other] && one < other);
}

/* Let the next request arrive when a client, who is free from now on, has thought about it; none is left: do nothing. */
static void arrivals_plan(arrivals *coming, double now_s) {
    const ptrdiff_t request = coming->planned;
    ptrdiff_t place = coming->count;
    if (request == coming->requests)
        return;
    coming->arrived_s[request] = now_s + coming->think_s[request];
    coming->planned++;
    coming->count++;
    for (; place > 0 && arrivals_is_sooner(coming, request, coming->pending[(place - 1) >> 1]); place = (place - 1) >> 1)
        coming->pending[place] = coming->pending[(place - 1) >> 1];
    coming->pending[place] = request;
    coming->next_s = coming->arrived_s[coming->pending[0]];
}

/* Take the soonest off the heap. */
static ptrdiff_t arrivals_take_planned(arrivals *coming) {
    ptrdiff_t *pending = coming->pending, place = 0, child = 1;
    const ptrdiff_t soonest = pending[0], moved = pending[--coming->count];
    while (child < coming->count) {
        if (child + 1 < coming->count && arrivals_is_sooner(coming, pending[child + 1], pending[child]))
            child++;
        if (!arrivals_is_sooner(coming, pending[child], moved))
            break;
        pending[place] = pending[child];
        place = child;
        child = 2 * place + 1;
    }
    pending[place] = moved;
    coming->next_s = coming->count ? coming->arrived_s[pending[0]] : INFINITY;
    return soonest;
}

/* Return who arrives at next_s, which somebody must, and look for the one after. */
static inline ptrdiff_t arrivals_take(arrivals *coming) {
    if (coming->think_s)
        return arrivals_take_planned(coming);
    coming->planned++;
    coming->next_s = coming->planned < coming->requests ? coming->arrived_s[coming->planned] : INFINITY;
    return coming->planned - 1;
}

#endif
