/* What a node says, in the terms of lib/ops: for plans, and for layers that are trained. */
#ifndef DCLS_PLAN_NODE_OPS_H
#define DCLS_PLAN_NODE_OPS_H

#include "model/model.h"
#include "ops/geometry.h"
#include "ops/ops.h"

/* The window's sizes for an input and an output of these shapes; batch as the input has it. */
dcls_geometry dcls_node_geometry(const dcls_node *node, const dcls_shape *in, const dcls_shape *out);
/* Zeros behind the last cell, with leading dimensions of none. */
void dcls_node_pad_after(const dcls_node *node, int64_t pad[3]);
/* A resize from one shape to another: planes are those of the input. */
dcls_resize_shape dcls_node_resize(const dcls_node *node, const dcls_shape *in, const dcls_shape *out);
/* DCLS_ACT_NONE for a node that is no activation. */
dcls_activation dcls_node_activation(const dcls_node *node);

#endif
