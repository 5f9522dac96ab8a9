/* The front of points in two objectives as a staircase, a step for each point of it, that grows and loses steps point by point. */
#ifndef ADVISOR_STAIRCASE_H
#define ADVISOR_STAIRCASE_H

#include <stddef.h>
#include <string.h>

/* From step to step `first` ascends and `second` descends. The steps are 0..left and right..size: the gap between, where the last step came
   in, goes along, for steps often come in turn. Both arrays hold `size` values and belong to somebody else. */
typedef struct {
    double *first, *second;
    ptrdiff_t left, right, size;
} staircase;

/* Let there be no steps, and room for so many less one. */
static inline void staircase_clear(staircase *steps, ptrdiff_t size) {
    steps->left = 0;
    steps->right = steps->size = size;
}

/* Return the first place low..high whose value is not smaller, `high` if all are; values ascend. */
static inline ptrdiff_t staircase_not_smaller(const double *values, ptrdiff_t low, ptrdiff_t high, double value) {
    low--;
    while (high - low > 1) {
        const ptrdiff_t middle = (low + high) >> 1;
        if (values[middle] < value)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Return whether a step is nowhere larger than the point: that of the largest first value which is not larger will do. */
static inline int staircase_beats(const staircase *steps, double first, double second) {
    ptrdiff_t low = -1, high = steps->left;
    if (steps->right < steps->size && steps->first[steps->right] <= first) {
        low = steps->right;
        high = steps->size;
    }
    while (high - low > 1) {
        const ptrdiff_t middle = (low + high) >> 1;
        if (steps->first[middle] <= first)
            low = middle;
        else
            high = middle;
    }
    return low >= 0 && steps->second[low] <= second;
}

static inline void staircase_move(staircase *steps, ptrdiff_t to, ptrdiff_t from, ptrdiff_t count) {
    memmove(steps->first + to, steps->first + from, count * sizeof(double));
    memmove(steps->second + to, steps->second + from, count * sizeof(double));
}

/* Put a point that no step beats into the staircase, and take out the steps that it beats. */
static inline void staircase_insert(staircase *steps, double first, double second) {
    if (steps->left > 0 && steps->first[steps->left - 1] >= first) {
        const ptrdiff_t count = steps->left - staircase_not_smaller(steps->first, 0, steps->left - 1, first);
        steps->left -= count;
        steps->right -= count;
        staircase_move(steps, steps->right, steps->left, count);
    } else {
        const ptrdiff_t count = staircase_not_smaller(steps->first, steps->right, steps->size, first) - steps->right;
        staircase_move(steps, steps->left, steps->right, count);
        steps->left += count;
        steps->right += count;
    }
    while (steps->right < steps->size && steps->second[steps->right] >= second)
        steps->right++;
    steps->first[steps->left] = first;
    steps->second[steps->left] = second;
    steps->left++;
}

#endif
