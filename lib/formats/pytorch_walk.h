/* Walks over what was unpickled: which values hold other values, and which hold tensors. */
#ifndef DCLS_FORMATS_PYTORCH_WALK_H
#define DCLS_FORMATS_PYTORCH_WALK_H

#include "formats/pytorch.h"

/* A value in a container and what it is found under: text, an integer or another key, or a position in a
 * list. */
typedef struct dcls_torch_child {
    const dcls_pickle_value *key; /* NULL in a list */
    size_t position;
    dcls_pickle_value *value;
} dcls_torch_child;

/* Goes through the children of a container. A whole pickled torch.nn.Module is a container of its parameters,
 * buffers and modules, in the order of its state_dict(). */
typedef struct dcls_torch_cursor {
    dcls_pickle_value *parts[3];
    int count, part;
    size_t at;
} dcls_torch_cursor;

/* A value that is no container has no children. Steps are counted, so that shared and self-containing values
 * end. */
dcls_status dcls_torch_open(dcls_torch_reader *r, dcls_pickle_value *container, dcls_torch_cursor *out);
/* False at the end. */
bool dcls_torch_next(dcls_torch_cursor *cursor, dcls_torch_child *out);
/* Counts values visited against their limit. */
dcls_status dcls_torch_steps(dcls_torch_reader *r, size_t count);

/* Whether value is a tensor or holds one, however deep. */
dcls_status dcls_torch_holds_tensor(dcls_torch_reader *r, dcls_pickle_value *value, bool *out);
/* "a dict of 2 with 'epoch' (an integer), 'args' (an object of argparse.Namespace)" */
dcls_status dcls_torch_describe(dcls_torch_reader *r, dcls_pickle_value *value, char *buffer, size_t size);

#endif
