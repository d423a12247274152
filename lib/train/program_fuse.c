/* Work done in passing. Elementwise layers are bound by memory: what two of them do to a plane is done in one
 * go where nobody else needs what lies between. */
#include "train/program.h"

/* Layers that read a value. */
static int readers(const dcls_program *p, int value)
{
    int count = 0;
    for (int l = 0; l < p->layer_count; l++)
        for (int k = 0; k < p->layers[l].input_count; k++)
            count += p->layers[l].inputs[k] == value;
    return count;
}

dcls_layer *dcls_program_maker(const dcls_program *program, int value)
{
    for (int l = 0; l < program->layer_count; l++)
        if (program->layers[l].output == value && !program->layers[l].absorbed) return &program->layers[l];
    return NULL;
}

/* What the batch norm at the beginning of the activation's phase reads. */
static void find_ahead(const dcls_program *p, dcls_layer *activation)
{
    activation->ahead[0] = activation->ahead[1] = -1;
    for (const dcls_layer *norm = activation; norm-- > p->layers && norm->phase == activation->phase;) {
        if (norm->kind != &dcls_layer_batch_norm) continue;
        activation->ahead[0] = norm->inputs[0];
        activation->ahead[1] = norm->residual_norm != NULL ? norm->residual_norm->inputs[0] : norm->residual;
    }
}

/* An activation whose result only a batch norm sees takes the statistics too, and gets its gradient from
 * there without the one between; the sum of what it hands to a convolution is the gradient of the bias there.
 */
static void join_activation(const dcls_program *p, dcls_layer *statistics)
{
    dcls_layer *activation = dcls_program_maker(p, statistics->inputs[0]);
    if (activation == NULL || activation->kind != &dcls_layer_activation || !activation->wanted[0]) return;
    if (readers(p, activation->output) != 2 || activation->phase != statistics->phase) return;
    if (activation + 1 != statistics) return; /* what lies between may write the same gradient before */
    if (p->values[activation->inputs[0]].gradient_root == p->values[statistics->gradient].gradient_root)
        return;
    activation->statistics = statistics;
    find_ahead(p, activation);
    statistics->activation = activation;
    dcls_layer *source = dcls_program_maker(p, activation->inputs[0]);
    if (source == NULL || source->kind != &dcls_layer_conv || !dcls_trains(source->bias) ||
        activation->adds[0] || readers(p, activation->inputs[0]) != 1)
        return;
    activation->source = source;
    source->bias_summed = true;
}

/* A sum behind a batch norm whose terms use its gradient. The other term must be there when the norm runs. */
static void absorb_sum(const dcls_program *p, dcls_layer *sum)
{
    for (int k = 0; k < 2; k++) {
        dcls_layer *norm = dcls_program_maker(p, sum->inputs[k]);
        dcls_layer *other = dcls_program_maker(p, sum->inputs[1 - k]);
        if (norm == NULL || norm->kind != &dcls_layer_batch_norm || readers(p, sum->inputs[k]) != 1) continue;
        if (norm->residual >= 0) continue; /* it does another sum already */
        if (norm->phase != sum->phase || (other != NULL && other > norm)) continue;
        if (p->values[sum->inputs[0]].floats != p->values[sum->inputs[1]].floats) continue;
        norm->residual = sum->inputs[1 - k];
        if (other != NULL && other->kind == &dcls_layer_batch_norm && other->residual < 0)
            norm->residual_norm = other;
        norm->output = sum->output;
        sum->absorbed = true;
        return;
    }
}

void dcls_program_fuse(dcls_program *program)
{
    for (int l = 0; l < program->layer_count; l++) {
        dcls_layer *layer = &program->layers[l];
        if (layer->kind == &dcls_layer_batch_stats) join_activation(program, layer);
        if (layer->kind == &dcls_layer_add && !layer->wanted[0] && !layer->wanted[1])
            absorb_sum(program, layer);
    }
}
