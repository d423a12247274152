/* Tables for people: aligned columns. */
#ifndef DCLS_CLI_TABLE_H
#define DCLS_CLI_TABLE_H

#include <stdio.h>

typedef struct columns columns;

/* titles ends with NULL. Titles that start with '>' head columns aligned to the right. */
columns *columns_create(const char *const *titles);
void columns_destroy(columns *table);
/* Appends a cell, row by row; a row is complete after as many as there are titles. text is copied, control
 * characters made visible. */
void columns_add(columns *table, const char *text);
/* Prints the table, each line after `indent` spaces. Columns without content are left out. width: columns of
 * the terminal, for which columns move together and the first one is shortened in the middle if need be; 0:
 * no limit. */
void columns_print(const columns *table, FILE *to, int indent, int width);

#endif
