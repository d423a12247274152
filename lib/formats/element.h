/* One tensor element as JSON text, of any dtype, such that what is written reads back bit for bit. */
#ifndef DCLS_FORMATS_ELEMENT_H
#define DCLS_FORMATS_ELEMENT_H

#include "formats/json.h"

/* What text JSON has for an element:
 *
 * - of a float: a number, or one of the strings "NaN", "Infinity", "-Infinity" and "NaN:HEX" (the bits of any
 *   other NaN);
 * - of an integer: a number without fraction or exponent, or the same in a string (beyond 2^53);
 * - of a BOOL: true, false, or the byte as a number if it is neither 0 nor 1. */

/* Stores the element at to; false if the token is none of these or out of the dtype's range. */
bool dcls_element_parse(dcls_dtype dtype, dcls_json_token token, void *to);
void dcls_element_put(dcls_json_out *j, dcls_dtype dtype, const void *from);

#endif
