/* A network between being read (from JSON) or built (from a state dict) and being a checked dcls_model. */
#ifndef DCLS_MODEL_DRAFT_H
#define DCLS_MODEL_DRAFT_H

#include "model/attributes.h"

/* Makes the tensors of a network that is described without them. */
typedef struct dcls_maker {
    /* Adds to the draft's tensors what a node names and what is not there yet. Called for each node in order
     * of execution, before it is checked. input: shape of its first input, open sizes DCLS_ANY. There is room
     * for a tensor in every slot: those added before stay where they are. */
    dcls_status (*make)(dcls_context *ctx, void *arg, dcls_tensors *tensors, dcls_draft_node *node,
                        const dcls_model *model, const dcls_shape *input);
    void *arg;
    int64_t classes; /* labels of a description that are not as many are dropped; 0: none are */
} dcls_maker;

typedef struct dcls_draft {
    dcls_model *model; /* owned: everything but its nodes; strings of the draft live in its arena too */
    dcls_draft_node *nodes;
    size_t count, capacity;
    const char *output;      /* name of a value, NULL: the last node's */
    const dcls_maker *maker; /* NULL: tensors are there */
} dcls_draft;

/* Takes ownership of tensors in success and failure. The model starts as features of a 3-channel picture of
 * any size, without preprocessing. */
dcls_status dcls_draft_create(dcls_context *ctx, dcls_tensors *tensors, dcls_draft **out);
void dcls_draft_destroy(dcls_draft *draft);

/* Appends a node with all attributes at their defaults; name is copied. The pointer is good until the next
 * call. */
dcls_status dcls_draft_add(dcls_context *ctx, dcls_draft *draft, dcls_op op, const char *name,
                           dcls_draft_node **out);
/* Connects input number `index` of a node; room for `count` is made on first use. */
dcls_status dcls_draft_connect(dcls_context *ctx, dcls_draft *draft, dcls_draft_node *node, int count,
                               int index, const char *value);

/* Reads the "model" object of a JSON text: the object itself, or a whole JSON model file around it. */
dcls_status dcls_draft_read(dcls_context *ctx, dcls_draft *draft, const char *json);

/* Checks everything (design: anything a file says is checked before it is believed), orders the nodes and
 * gives the model. Frees draft in success and failure. */
dcls_status dcls_draft_finish(dcls_context *ctx, dcls_draft *draft, dcls_model **out);

/* The parts of dcls_draft_finish. dcls_check_order resolves names, sorts and fills model->nodes, whose
 * tensors are looked up and checked by dcls_check_node on the way; dcls_check_values infers with open sizes
 * and compares with task and labels. */
dcls_status dcls_check_order(dcls_context *ctx, dcls_draft *draft);
dcls_status dcls_check_node(dcls_context *ctx, const dcls_model *model, dcls_draft_node *draft);
dcls_status dcls_check_values(dcls_context *ctx, const dcls_model *model);

/* dcls_model_infer that lets sizes be DCLS_ANY and reports failures as `status`. */
dcls_status dcls_infer_open(dcls_context *ctx, const dcls_model *model, dcls_status status, int ndim,
                            const int64_t *input, dcls_shape *shapes);
/* The same for one node, which need not be in the model yet. shapes are of the values before it. */
dcls_status dcls_infer_node(dcls_context *ctx, const dcls_model *model, dcls_status status,
                            const dcls_node *node, const dcls_shape *shapes, dcls_shape *out);

#define DCLS_MAX_NODES 100000

#endif
