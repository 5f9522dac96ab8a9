/* Continuous batching: requests that wait, are read and get tokens, step by step. decode_sim.pyx has the rules and checks the input.

   No loop goes over the running requests. All that are read get a token with each decode step, so the step that gives a request its last
   one is known when it is read: its number has a stack of those who finish then. */
#ifndef ADVISOR_BATCHING_H
#define ADVISOR_BATCHING_H

#include <limits.h>
#include <math.h>
#include <stddef.h>

#include "arrivals.h"
#include "token_gaps.h"

enum { BATCHING_PREFILL_FIRST, BATCHING_CHUNKED, BATCHING_MIXED };
enum { BATCHING_NOBODY = -1 };

typedef struct {
    double since_s;           /* it waits, or runs */
    long long generated;      /* tokens; those of decode steps are added when it is preempted */
    long long unread;         /* tokens of its prompt */
    ptrdiff_t joined;         /* the decode steps that were taken before it was read */
    ptrdiff_t earlier, later; /* its neighbors among the running, by admission */
    ptrdiff_t below;          /* who was put on its stack before it */
} request_state;

/* What every step changes. */
typedef struct {
    double now_s, decode_s;
    double decode_end_s;                   /* of the last decode step */
    double longest_s;                      /* gap of the steps in its block */
    long long context_tokens, used_tokens; /* of the decoded requests together; of the cache */
    ptrdiff_t steps, decode_steps, factor;
} progress;

/* Arrays belong to somebody else, and those of requests are (requests,). */
typedef struct {
    const long long *input_tokens, *output_tokens, *hit_tokens;
    const double *prefill_cost, *decode_cost, *mixed_cost; /* (3,), (3,), (5,) */
    const double *decode_extra_s; /* by how many requests are decoded, from 0 to all that may run */
    const double *token_extra_s;  /* by how many tokens a step that reads takes, up to chunk_tokens; NULL: decode_extra_s counts */
    const double *factors, *stall_at_s, *stall_s;          /* (factor_count,), (stall_count,), (stall_count,) */
    double *first_token_s, *last_token_s, *longest_gap_s;
    long long *preemptions;
    request_state *requests;
    ptrdiff_t *queue;  /* who waits, from head to tail; whoever goes back to the front has left a place free before it */
    ptrdiff_t *finish; /* (gaps.mask + 1,) by number of a decode step, the top of the stack of those who finish with it */
    ptrdiff_t count, factor_count, stall_count, head, tail, stall, finished;
    ptrdiff_t running, decoded, last, reading; /* how many run, and are read; who was admitted last; the first of those unread */
    ptrdiff_t max_running;
    int policy;
    long long chunk_tokens, kv_tokens, kv_peak_tokens;
    double next_stall_s, prefill_s, idle_s, running_integral, waiting_integral;
    arrivals coming;
    token_gaps gaps;
    progress at;
} replica;

/* Return when a step ends that begins at start_s and would end at end_s if there were no stalls. */
static double replica_stalled(replica *sim, double start_s, double end_s) {
    double over_s = start_s;
    while (sim->next_stall_s < end_s) {
        const double stall_end_s = sim->next_stall_s + sim->stall_s[sim->stall];
        /* Idle time swallows what is over by start_s, and only what no stall before covers takes time. */
        if (stall_end_s > over_s) {
            end_s += stall_end_s - (sim->next_stall_s > over_s ? sim->next_stall_s : over_s);
            over_s = stall_end_s;
        }
        sim->stall++;
        sim->next_stall_s = sim->stall < sim->stall_count ? sim->stall_at_s[sim->stall] : INFINITY;
    }
    return end_s;
}

/* Let a step of so many seconds pass; return those that it really takes, by its factor and with stalls. */
static inline double replica_pass(replica *sim, progress *at, double duration_s) {
    const double start_s = at->now_s;
    double end_s = start_s + duration_s * sim->factors[at->factor];
    /* A wrapping counter, for a division would cost more than the rest of the step. */
    at->factor = at->factor + 1 < sim->factor_count ? at->factor + 1 : 0;
    if (end_s > sim->next_stall_s)
        end_s = replica_stalled(sim, start_s, end_s);
    at->now_s = end_s;
    at->steps++;
    return end_s - start_s;
}

/* Count the decode step that has just passed: a token for each that is decoded. */
static inline void replica_give_tokens(const replica *sim, progress *at) {
    at->decode_steps++;
    at->longest_s = token_gaps_add(&sim->gaps, at->decode_steps, at->now_s, at->now_s - at->decode_end_s, at->longest_s);
    at->decode_end_s = at->now_s;
    at->context_tokens += sim->decoded;
    at->used_tokens += sim->decoded;
}

/* Let all that arrive by now join the queue. */
static inline void replica_arrive(replica *sim) {
    while (sim->coming.next_s <= sim->at.now_s) {
        const ptrdiff_t request = arrivals_take(&sim->coming);
        sim->requests[request].since_s = sim->coming.arrived_s[request];
        sim->queue[sim->tail++] = request;
    }
}

/* Return the tokens of a request that is not decoded: what its prompt is. */
static inline long long replica_prompt(const replica *sim, ptrdiff_t request) {
    return sim->input_tokens[request] + sim->requests[request].generated;
}

/* Return those that no prefix hit spares. */
static inline long long replica_own_prompt(const replica *sim, ptrdiff_t request) {
    return replica_prompt(sim, request) - sim->hit_tokens[request];
}

/* Whether the first that waits may run, beside so many tokens that others will need. */
static inline int replica_can_admit(const replica *sim, long long promised) {
    if (sim->head == sim->tail || sim->running == sim->max_running)
        return 0;
    return sim->at.used_tokens + promised + replica_own_prompt(sim, sim->queue[sim->head]) + 1 <= sim->kv_tokens;
}

static inline void replica_note_peak(replica *sim) {
    if (sim->at.used_tokens > sim->kv_peak_tokens)
        sim->kv_peak_tokens = sim->at.used_tokens;
}

static inline void replica_admit(replica *sim) {
    const ptrdiff_t request = sim->queue[sim->head++];
    request_state *own = &sim->requests[request];
    sim->waiting_integral += sim->at.now_s - own->since_s;
    own->since_s = sim->at.now_s;
    own->unread = replica_own_prompt(sim, request);
    sim->at.used_tokens += own->unread;
    replica_note_peak(sim);
    own->earlier = sim->last;
    own->later = BATCHING_NOBODY;
    if (sim->last != BATCHING_NOBODY)
        sim->requests[sim->last].later = request;
    sim->last = request;
    sim->running++;
    if (sim->reading == BATCHING_NOBODY)
        sim->reading = request;
}

/* Take a request off the running ones; what it holds in the cache is freed by who calls. */
static inline void replica_leave(replica *sim, ptrdiff_t request) {
    const request_state *own = &sim->requests[request];
    sim->running--;
    sim->running_integral += sim->at.now_s - own->since_s;
    if (own->earlier != BATCHING_NOBODY)
        sim->requests[own->earlier].later = own->later;
    if (own->later != BATCHING_NOBODY)
        sim->requests[own->later].earlier = own->earlier;
    else
        sim->last = own->earlier;
}

/* Free what the cache holds of a request that is decoded. */
static inline void replica_free(replica *sim, ptrdiff_t request, long long cached) {
    sim->decoded--;
    sim->at.context_tokens -= cached;
    sim->at.used_tokens -= cached - sim->hit_tokens[request];
}

static void replica_finish(replica *sim, ptrdiff_t request) {
    /* The last token is not cached. */
    replica_free(sim, request, sim->input_tokens[request] + sim->output_tokens[request] - 1);
    replica_leave(sim, request);
    sim->finished++;
    if (sim->coming.think_s)
        arrivals_plan(&sim->coming, sim->at.now_s);
}

/* Return the stack of a request that is decoded. */
static inline ptrdiff_t *replica_stack(const replica *sim, ptrdiff_t request) {
    const request_state *own = &sim->requests[request];
    return &sim->finish[(own->joined + sim->output_tokens[request] - own->generated) & sim->gaps.mask];
}

/* Count what was read of the first unread prompt; when it is all read its request has a token more, and is decoded from now on. */
static inline void replica_has_read(replica *sim, long long tokens) {
    const ptrdiff_t request = sim->reading;
    request_state *own = &sim->requests[request];
    own->unread -= tokens;
    if (own->unread)
        return;
    sim->reading = own->later;
    if (own->generated == 0)
        sim->first_token_s[request] = sim->at.now_s;
    else
        sim->longest_gap_s[request] =
            token_gaps_longer(sim->longest_gap_s[request], sim->at.now_s - sim->last_token_s[request]);
    sim->last_token_s[request] = sim->at.now_s;
    sim->decoded++;
    sim->at.context_tokens += replica_prompt(sim, request);
    own->generated++;
    own->joined = sim->at.decode_steps;
    if (own->generated == sim->output_tokens[request]) {
        replica_finish(sim, request);
    } else {
        ptrdiff_t *stack = replica_stack(sim, request);
        own->below = *stack;
        *stack = request;
    }
}

/* Return how many tokens of the prompt are cached. */
static inline double replica_past(const replica *sim, ptrdiff_t request) {
    return (double)(replica_prompt(sim, request) - sim->requests[request].unread);
}

/* Take a step that reads at most so many tokens of the first unread prompt. */
static inline void replica_read(replica *sim, long long most) {
    const double *cost = sim->prefill_cost;
    const long long unread = sim->requests[sim->reading].unread, tokens = unread < most ? unread : most;
    const double n = (double)tokens, past = replica_past(sim, sim->reading);
    sim->prefill_s += replica_pass(sim, &sim->at, cost[0] + cost[1] * n + cost[2] * n * (past + n / 2));
    replica_has_read(sim, tokens);
}

/* Bring last token and longest gap of a request that is decoded up to date. */
static inline void replica_note_gaps(replica *sim, ptrdiff_t request) {
    const ptrdiff_t first = sim->requests[request].joined + 1, last = sim->at.decode_steps;
    double longest_s = sim->longest_gap_s[request];
    if (first > last)
        return;
    /* The first gap began where the prompt was read, each other one where the decode step before ended. */
    longest_s = token_gaps_longer(longest_s, sim->gaps.ends_s[first & sim->gaps.mask] - sim->last_token_s[request]);
    sim->longest_gap_s[request] = token_gaps_longer(longest_s, token_gaps_longest(&sim->gaps, first + 1, last));
    sim->last_token_s[request] = sim->at.decode_end_s;
}

/* Send the request that was admitted last to the front of the queue. */
static void replica_preempt(replica *sim) {
    const ptrdiff_t request = sim->last;
    request_state *own = &sim->requests[request];
    if (own->unread) {
        sim->at.used_tokens -= replica_own_prompt(sim, request);
        if (sim->reading == request)
            sim->reading = BATCHING_NOBODY;
    } else {
        /* Prompts are read in order of admission: the last is on top. */
        *replica_stack(sim, request) = own->below;
        replica_note_gaps(sim, request);
        own->generated += sim->at.decode_steps - own->joined;
        replica_free(sim, request, replica_prompt(sim, request) - 1);
    }
    sim->preemptions[request]++;
    replica_leave(sim, request);
    own->since_s = sim->at.now_s;
    sim->queue[--sim->head] = request;
}

/* Preempt until a decode step fits the cache. One request alone always does. */
static inline void replica_make_room(replica *sim) {
    while (sim->at.used_tokens + sim->decoded > sim->kv_tokens)
        replica_preempt(sim);
}

/* Let go whoever got the last token with the decode step that has just passed. */
static inline void replica_finish_due(replica *sim) {
    ptrdiff_t *stack = &sim->finish[sim->at.decode_steps & sim->gaps.mask], request = *stack;
    *stack = BATCHING_NOBODY;
    while (request != BATCHING_NOBODY) {
        const ptrdiff_t below = sim->requests[request].below;
        replica_note_gaps(sim, request);
        replica_finish(sim, request);
        request = below;
    }
}

/* Take decode steps: one, or all until somebody finishes, has to be preempted or may be admitted. */
static void replica_decode(replica *sim, int once) {
    double fixed_s, token_s = sim->decode_cost[2], next_arrival_s = sim->coming.next_s;
    long long most_tokens;
    progress at;
    replica_make_room(sim);
    fixed_s = sim->decode_cost[0] + sim->decode_cost[1] * (double)sim->decoded + sim->decode_extra_s[sim->decoded];
    most_tokens = sim->kv_tokens - sim->decoded;
    /* Whoever arrives behind others, or when all places are taken, changes nothing until somebody finishes. */
    if (sim->head != sim->tail || sim->running == sim->max_running)
        next_arrival_s = INFINITY;
    at = sim->at; /* a copy that stays in registers */
    do {
        at.decode_s += replica_pass(sim, &at, fixed_s + token_s * (double)at.context_tokens);
        replica_give_tokens(sim, &at);
    } while (!once && sim->finish[at.decode_steps & sim->gaps.mask] == BATCHING_NOBODY && at.used_tokens <= most_tokens &&
             at.now_s < next_arrival_s);
    sim->at = at;
    replica_note_peak(sim);
    replica_finish_due(sim);
}

/* Take a step of the mixed policy that reads at most so many tokens, one at least. */
static inline void replica_mix(replica *sim, long long most) {
    const double *cost = sim->mixed_cost;
    const double decoded = (double)sim->decoded, context = (double)sim->at.context_tokens;
    const double decode_s = cost[1] * decoded + cost[2] * context;
    double attention = 0.0, n, extra_s, prefill_s, passed_s;
    double share = sim->decoded ? 0.5 : 1.0; /* halves where neither part costs anything */
    long long tokens = 0, part;
    for (ptrdiff_t request = sim->reading; request != BATCHING_NOBODY && tokens < most; request = sim->requests[request].later) {
        part = sim->requests[request].unread < most - tokens ? sim->requests[request].unread : most - tokens;
        tokens += part;
        attention += (double)part * (replica_past(sim, request) + (double)part / 2);
    }
    n = (double)tokens;
    extra_s = sim->token_extra_s ? sim->token_extra_s[sim->decoded + tokens] : sim->decode_extra_s[sim->decoded];
    prefill_s = cost[3] * n + cost[4] * attention;
    if (sim->decoded && decode_s + prefill_s > 0)
        share = prefill_s / (decode_s + prefill_s);
    passed_s = replica_pass(sim, &sim->at,
                            cost[0] + cost[1] * decoded + extra_s + cost[2] * context + cost[3] * n +
                                cost[4] * attention);
    sim->prefill_s += passed_s * share;
    sim->at.decode_s += passed_s - passed_s * share;
    if (sim->decoded) {
        replica_give_tokens(sim, &sim->at);
        replica_note_peak(sim);
        replica_finish_due(sim);
    }
    while (tokens) {
        part = sim->requests[sim->reading].unread < tokens ? sim->requests[sim->reading].unread : tokens;
        tokens -= part;
        replica_has_read(sim, part);
    }
}

static inline void replica_step_mixed(replica *sim) {
    replica_make_room(sim);
    while (replica_can_admit(sim, sim->decoded))
        replica_admit(sim);
    if (sim->reading == BATCHING_NOBODY || sim->decoded >= sim->chunk_tokens)
        replica_decode(sim, 0);
    else
        replica_mix(sim, sim->chunk_tokens - sim->decoded);
}

/* One prompt at a time: whole, or a chunk of it and then a decode step. */
static inline void replica_step_apart(replica *sim) {
    if (sim->reading == BATCHING_NOBODY && replica_can_admit(sim, 0))
        replica_admit(sim);
    if (sim->reading == BATCHING_NOBODY) {
        replica_decode(sim, 0);
    } else if (sim->policy == BATCHING_PREFILL_FIRST) {
        replica_read(sim, LLONG_MAX);
    } else {
        replica_read(sim, sim->chunk_tokens);
        if (sim->decoded)
            replica_decode(sim, 1);
    }
}

/* Serve until all requests are finished. */
static void replica_run(replica *sim) {
    while (sim->finished < sim->count) {
        replica_arrive(sim);
        if (sim->running == 0 && sim->head == sim->tail) {
            sim->idle_s += sim->coming.next_s - sim->at.now_s;
            sim->at.now_s = sim->coming.next_s;
        } else if (sim->policy == BATCHING_MIXED) {
            replica_step_mixed(sim);
        } else {
            replica_step_apart(sim);
        }
    }
}

#endif
