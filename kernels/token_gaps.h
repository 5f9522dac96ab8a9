/* When decode steps ended, and the longest gap between two of them over the steps of a request: not looked at one by one. */
#ifndef ADVISOR_TOKEN_GAPS_H
#define ADVISOR_TOKEN_GAPS_H

#include <stddef.h>

enum { TOKEN_GAPS_BITS = 5, TOKEN_GAPS_BLOCK = 1 << TOKEN_GAPS_BITS };

/* Steps are numbered from 1; only the last mask + 1 of them are known, a power of two and no fewer than a block. */
typedef struct {
    double *ends_s;    /* (mask + 1,) when a step ended */
    double *longest_s; /* ((mask + 1) / TOKEN_GAPS_BLOCK,) the longest gap that ended in a block of steps, so far */
    ptrdiff_t mask;
} token_gaps;

static inline double token_gaps_longer(double one, double other) { return one > other ? one : other; }

/* Count a step that ends gap_s after the one before; return the longest gap of its block, of which longest_s is that so far. */
static inline double token_gaps_add(const token_gaps *gaps, ptrdiff_t step, double end_s, double gap_s, double longest_s) {
    const ptrdiff_t place = step & gaps->mask;
    longest_s = step & (TOKEN_GAPS_BLOCK - 1) ? token_gaps_longer(longest_s, gap_s) : gap_s;
    gaps->ends_s[place] = end_s;
    gaps->longest_s[place >> TOKEN_GAPS_BITS] = longest_s;
    return longest_s;
}

/* Return the longest gap that ended with a step first..last, of which `last` is the last one that was added; 0 if there are none. */
static inline double token_gaps_longest(const token_gaps *gaps, ptrdiff_t first, ptrdiff_t last) {
    double longest_s = 0.0;
    for (; first <= last && first & (TOKEN_GAPS_BLOCK - 1); first++)
        longest_s = token_gaps_longer(longest_s, gaps->ends_s[first & gaps->mask] - gaps->ends_s[(first - 1) & gaps->mask]);
    for (; first <= last; first += TOKEN_GAPS_BLOCK)
        longest_s = token_gaps_longer(longest_s, gaps->longest_s[(first & gaps->mask) >> TOKEN_GAPS_BITS]);
    return longest_s;
}

#endif
