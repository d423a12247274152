/* Bytes for values. Two values share memory when one is dead before the other is born, and a step that works
 * in place hands its operand's memory on. Sizes go first to last by descending size, each at the lowest free
 * offset: within a few per cent of the liveness limit on the networks this is for. */
#include <stdlib.h>
#include <string.h>

#include "plan/plan_internal.h"

#define ALIGNMENT 64

static size_t align_up(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void find_lifetimes(dcls_plan *plan)
{
    for (int v = 0; v < plan->value_count; v++)
        plan->slots[v] = (dcls_storage){.place = DCLS_UNUSED, .first = -1, .last = -1};
    plan->slots[0].place = DCLS_IN_INPUT;
    for (int s = 0; s < plan->step_count; s++) {
        const dcls_step *step = &plan->steps[s];
        plan->slots[step->output].place = DCLS_IN_ARENA;
        plan->slots[step->output].first = plan->slots[step->output].last = s;
        for (int k = 0; k < step->input_count; k++)
            plan->slots[step->inputs[k]].last = s;
        if (step->residual >= 0) plan->slots[step->residual].last = s;
    }
    for (int v = 0; v < plan->value_count && plan->keep_values; v++)
        if (plan->slots[v].place == DCLS_IN_ARENA) plan->slots[v].last = plan->step_count - 1;
    int output = plan->root[plan->model->output];
    if (output != 0) plan->slots[output].place = DCLS_IN_OUTPUT;
}

static bool size_slots(dcls_plan *plan)
{
    for (int v = 0; v < plan->value_count; v++) {
        if (!dcls_shape_bytes(DCLS_F32, plan->shapes[v].ndim, plan->shapes[v].size, &plan->slots[v].bytes) ||
            plan->slots[v].bytes > SIZE_MAX / 2)
            return false;
        plan->slots[v].bytes = align_up(plan->slots[v].bytes);
    }
    return true;
}

/* The value whose memory step may overwrite with its result, or -1: it must be the plan's own and die here.
 */
static int donor_of(const dcls_plan *plan, int s)
{
    const dcls_step *step = &plan->steps[s];
    if (!step->in_place || plan->keep_values || plan->slots[step->output].place != DCLS_IN_ARENA) return -1;
    int donor = step->residual >= 0 ? step->residual : step->inputs[0];
    const dcls_storage *slot = &plan->slots[donor];
    bool fits =
        slot->place == DCLS_IN_ARENA && slot->last == s && slot->bytes == plan->slots[step->output].bytes;
    if (step->residual >= 0) return fits && donor != step->inputs[0] ? donor : -1;
    for (int k = 1; k < step->input_count; k++)
        if (step->inputs[k] == donor) return fits && step->node->op == DCLS_OP_ADD ? donor : -1;
    return fits ? donor : -1;
}

/* Joins donors and heirs: owner[v] is the first value of a chain, whose slot lives as long as the chain. */
static void join_in_place(dcls_plan *plan, int *owner)
{
    for (int v = 0; v < plan->value_count; v++)
        owner[v] = v;
    for (int s = 0; s < plan->step_count; s++) {
        int donor = donor_of(plan, s), heir = plan->steps[s].output;
        if (donor < 0) continue;
        owner[heir] = owner[donor];
        plan->slots[owner[donor]].last = plan->slots[heir].last;
    }
}

/* ---- which placed slots live at the same time ---- */

/* Every step bears one value at most, so slots are told apart by their birth. A tree over births knows the
 * latest death below each of its nodes: the slots that live with another one are found without looking at the
 * rest. */
typedef struct taken {
    size_t low, high; /* bytes */
} taken;

typedef struct lives {
    int leaves;
    int *
        last; /* [2 * leaves]: of node i the latest death below, -1: none; its children are 2 i and 2 i + 1 */
    int *born; /* [leaves]: the value */
    int *found;
    taken *spans;
    int found_count;
    int64_t work; /* slots found in all */
} lives;

/* Where very many values live very long, the search for gaps between them would take for ever and find
 * little. */
#define MOST_WORK ((int64_t)1 << 25)

static bool lives_create(dcls_context *ctx, dcls_plan *plan, lives *out)
{
    out->leaves = 1;
    while (out->leaves < plan->step_count)
        out->leaves *= 2;
    const size_t leaves = (size_t)out->leaves;
    out->last = dcls_arena_alloc(ctx, &plan->arena, 2 * leaves, sizeof *out->last);
    out->born = dcls_arena_alloc(ctx, &plan->arena, leaves, sizeof *out->born);
    out->found = dcls_arena_alloc(ctx, &plan->arena, leaves, sizeof *out->found);
    out->spans = dcls_arena_alloc(ctx, &plan->arena, leaves, sizeof *out->spans);
    if (!out->last || !out->born || !out->found || !out->spans) return false;
    for (size_t i = 0; i < 2 * leaves; i++)
        out->last[i] = -1;
    return true;
}

static void lives_add(lives *all, const dcls_storage *slot, int value)
{
    all->born[slot->first] = value;
    for (int node = all->leaves + slot->first; node > 0; node /= 2)
        if (slot->last > all->last[node]) all->last[node] = slot->last;
}

/* Adds those born in the node's steps low .. high - 1 that overlap in time with slot. */
static void lives_find(lives *all, const dcls_storage *slot, int node, int low, int high)
{
    if (low > slot->last || all->last[node] < slot->first) return;
    if (high - low == 1) {
        all->found[all->found_count++] = all->born[low];
        return;
    }
    const int middle = low + (high - low) / 2;
    lives_find(all, slot, 2 * node, low, middle);
    lives_find(all, slot, 2 * node + 1, middle, high);
}

static int by_offset(const void *a, const void *b)
{
    const taken *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

/* The lowest offset at which slot meets none of the placed ones it lives together with. */
static size_t lowest_free(const dcls_plan *plan, lives *all, const dcls_storage *slot)
{
    size_t offset = 0;
    taken *spans = all->spans;
    all->found_count = 0;
    if (all->work > MOST_WORK) return plan->arena_bytes;
    lives_find(all, slot, 1, 0, all->leaves);
    all->work += all->found_count;
    for (int i = 0; i < all->found_count; i++) {
        const dcls_storage *other = &plan->slots[all->found[i]];
        spans[i] = (taken){other->offset, other->offset + other->bytes};
    }
    qsort(spans, (size_t)all->found_count, sizeof *spans, by_offset);
    for (int i = 0; i < all->found_count && spans[i].low < offset + slot->bytes; i++)
        if (spans[i].high > offset) offset = spans[i].high;
    return offset;
}

/* ---- placing ---- */

static int by_size(const void *a, const void *b)
{
    const dcls_storage *x = *(const dcls_storage *const *)a, *y = *(const dcls_storage *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return (x > y) - (x < y);
}

static bool place_slots(dcls_plan *plan, const int *owner, dcls_storage **order, lives *all)
{
    int count = 0;
    for (int v = 0; v < plan->value_count; v++)
        if (plan->slots[v].place == DCLS_IN_ARENA && owner[v] == v) order[count++] = &plan->slots[v];
    qsort(order, (size_t)count, sizeof(dcls_storage *), by_size);
    for (int i = 0; i < count; i++) {
        order[i]->offset = lowest_free(plan, all, order[i]);
        lives_add(all, order[i], (int)(order[i] - plan->slots));
        size_t end;
        if (!dcls_add_size(order[i]->offset, order[i]->bytes, &end) || end > SIZE_MAX / 2) return false;
        if (end > plan->arena_bytes) plan->arena_bytes = end;
    }
    for (int v = 0; v < plan->value_count; v++)
        plan->slots[v].offset = plan->slots[owner[v]].offset;
    return true;
}

/* The largest sum of slots alive at one step: change[s] is what is born at s less what died before. */
static bool measure_peak(dcls_context *ctx, dcls_plan *plan, const int *owner)
{
    int64_t *change = dcls_arena_alloc(ctx, &plan->arena, (size_t)plan->step_count + 1, sizeof *change);
    if (!change) return false;
    for (int v = 0; v < plan->value_count; v++) {
        const dcls_storage *slot = &plan->slots[v];
        if (slot->place != DCLS_IN_ARENA || owner[v] != v) continue;
        change[slot->first] += (int64_t)slot->bytes;
        change[slot->last + 1] -= (int64_t)slot->bytes;
    }
    int64_t live = 0;
    for (int s = 0; s < plan->step_count; s++) {
        live += change[s];
        if ((size_t)live > plan->live_peak) plan->live_peak = (size_t)live;
    }
    return true;
}

dcls_status dcls_plan_place(dcls_context *ctx, dcls_plan *plan)
{
    size_t n = (size_t)plan->value_count;
    plan->slots = dcls_arena_alloc(ctx, &plan->arena, n, sizeof *plan->slots);
    int *owner = dcls_arena_alloc(ctx, &plan->arena, n, sizeof *owner);
    lives all = {0};
    dcls_storage **order = dcls_arena_alloc(ctx, &plan->arena, n, sizeof(dcls_storage *));
    if (!plan->slots || !owner || !order || !lives_create(ctx, plan, &all)) return DCLS_ERR_MEMORY;
    find_lifetimes(plan);
    bool fits = size_slots(plan);
    if (fits) {
        join_in_place(plan, owner);
        fits = place_slots(plan, owner, order, &all);
    }
    if (!fits)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the network's activations are too large for this machine");
    if (!measure_peak(ctx, plan, owner)) return DCLS_ERR_MEMORY;
    for (int s = 0; s < plan->step_count; s++)
        if (plan->steps[s].workspace > plan->workspace_bytes)
            plan->workspace_bytes = plan->steps[s].workspace;
    return DCLS_OK;
}
