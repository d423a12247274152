/* What the tests of reading networks share: tensors of many shapes, and descriptions in pieces. */
#ifndef TESTS_GRAPH_UTIL_H
#define TESTS_GRAPH_UTIL_H

#include "model_util.h"

#define TENSORS                                                                                              \
    "w 4 3 3 3; b 4; w1 4 4 1 1; dw 4 2 3 3; lw 10 4; lb 10; v4 4; v5 5; n4 I64 4; h4 F16 4; e 4 0 3 3; "    \
    "k 4 1 5; P 2 4 1 5; SIG 2 4 1 5; Ps 2 1 5; SIGs 2 1 5; P1 1 4 1 5; d 4 1 3 5; d1 1 4 1 3 5; c3 4 3 3; " \
    "big 1 1 1048577 1; m 6 3 2 2"

#define INPUT  "\"input\":{\"channels\":3,\"height\":32,\"width\":\"any\"}"
#define MODEL  "{" INPUT ",\"nodes\":["
#define FIRST  "{\"op\":\"conv\",\"name\":\"c\",\"weight\":\"w\"}"
#define LAYER  "{\"op\":\"dcls\",\"name\":\"d\",\"weight\":\"k\",\"groups\":4,"
#define SPREAD "\"version\":\"gauss\",\"SIG\":\"SIG\",\"P\":\"P\","

#endif
