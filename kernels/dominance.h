/* Whether a point is dominated by one of a few guards: the inner loop of the frontier, as many points a second as there are.

   One build for all processors: the compiler makes this for several instruction sets, and the loader takes the best that is there. */
#ifndef ADVISOR_DOMINANCE_H
#define ADVISOR_DOMINANCE_H

#include <stddef.h>

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GLIBC__) && defined(__has_attribute)
#if __has_attribute(target_clones)
#define DOMINANCE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#endif
#ifndef DOMINANCE_CLONES
#define DOMINANCE_CLONES
#endif
/* Into each clone, with a number of objectives that the compiler knows, so that loops over them are unrolled. */
#define DOMINANCE_INLINE static inline __attribute__((always_inline))

/* Guards lie in blocks of so many, in each one objective after the other. */
#define DOMINANCE_BLOCK 16

/* Return whether guard g of a block is nowhere larger than the point and somewhere smaller. */
DOMINANCE_INLINE int dominance_of_guard(const double *block, int g, const double *point, const int objectives) {
    int larger = 0, smaller = 0;
    for (int k = 0; k < objectives; k++) {
        larger |= block[k * DOMINANCE_BLOCK + g] > point[k];
        smaller |= block[k * DOMINANCE_BLOCK + g] < point[k];
    }
    return !larger && smaller;
}

/* Return whether a guard of the block dominates the point. All are asked at once whether they are nowhere larger, without branches, or it
   would not be done several guards at a time; one that is not is looked at again: it dominates unless it is the same. */
DOMINANCE_INLINE int dominance_of_block(const double *block, const double *point, const int objectives) {
    double least = 1;
    #pragma omp simd reduction(min : least)
    for (int g = 0; g < DOMINANCE_BLOCK; g++) {
        double larger = 0;
        for (int k = 0; k < objectives; k++)
            larger += block[k * DOMINANCE_BLOCK + g] <= point[k] ? 0.0 : 1.0;
        least = larger < least ? larger : least;
    }
    int found = 0;
    if (least == 0)
        for (int g = 0; g < DOMINANCE_BLOCK && !found; g++)
            found = dominance_of_guard(block, g, point, objectives);
    return found;
}

DOMINANCE_INLINE void dominance_mark_all(
    const double *points, ptrdiff_t count, const int objectives, const double *guards, ptrdiff_t blocks, unsigned char *dominated
) {
    for (ptrdiff_t i = 0; i < count; i++) {
        const double *point = points + i * objectives;
        int found = 0;
        /* The first guards beat the most: alone, they are asked at less cost than in company. */
        for (int g = 0; g < 2 && !found; g++)
            found = dominance_of_guard(guards, g, point, objectives);
        for (ptrdiff_t b = 0; b < blocks && !found; b++)
            found = dominance_of_block(guards + b * objectives * DOMINANCE_BLOCK, point, objectives);
        dominated[i] = (unsigned char)found;
    }
}

/* Mark with 1 which of the points (count, objectives) a guard dominates; the others are marked 0. 2 to 5 objectives. */
DOMINANCE_CLONES
void dominance_mark(
    const double *points, ptrdiff_t count, int objectives, const double *guards, ptrdiff_t blocks, unsigned char *dominated
) {
    switch (objectives) {
    case 2: dominance_mark_all(points, count, 2, guards, blocks, dominated); break;
    case 3: dominance_mark_all(points, count, 3, guards, blocks, dominated); break;
    case 4: dominance_mark_all(points, count, 4, guards, blocks, dominated); break;
    default: dominance_mark_all(points, count, 5, guards, blocks, dominated); break;
    }
}

#endif
