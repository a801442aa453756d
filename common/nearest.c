/* Edit distance; see nearest.h. */
#include "common/nearest.h"

#include <string.h>

#define WIDTH 64u

unsigned nearest_distance(const char *a, const char *b)
{
    unsigned row[WIDTH];
    size_t m = strlen(b) < WIDTH - 1 ? strlen(b) : WIDTH - 1;
    for (unsigned j = 0; j <= m; j++)
        row[j] = j;
    for (unsigned i = 1; *a; a++, i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= m; j++) {
            unsigned above = row[j], cost = diagonal + (*a != b[j - 1]);
            cost = above + 1 < cost ? above + 1 : cost;
            cost = row[j - 1] + 1 < cost ? row[j - 1] + 1 : cost;
            row[j] = cost;
            diagonal = above;
        }
    }
    return row[m];
}
