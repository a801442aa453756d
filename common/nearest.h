/*
  The nearest known name to one that is not known, for messages.
*/
#ifndef GB_COMMON_NEAREST_H
#define GB_COMMON_NEAREST_H

/* Edits (Levenshtein) between two short names. */
unsigned nearest_distance(const char *a, const char *b);

/* More edits than this is another word. */
#define NEAREST_MAX 3u

#endif
