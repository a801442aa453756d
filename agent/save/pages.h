/*
  The pages of a tablespace file that is being saved: how many have a wrong checksum. A look, never
  a judgement that stops anything. The doublewrite area is passed over: it holds images of other
  pages.
*/
#ifndef GB_AGENT_SAVE_PAGES_H
#define GB_AGENT_SAVE_PAGES_H

#include "common/page.h"

#include <stdint.h>

struct pages {
    bool tablespace; /* its name is one */
    bool known;      /* page 0 says what its pages look like */
    bool zero;       /* page 0 was never written */
    struct space_info info;
    uint32_t doublewrite[2], doublewrite_pages; /* first pages of the two blocks; 0 pages: none */
};

/* Whether a file of this name holds pages that this room knows: .ibd, undoNNN, ibdata1. */
bool pages_is_tablespace(const char *name);

/* Reads page 0 (and in the system tablespace where the doublewrite buffer is) of the file that is
 * open as fd. */
void pages_begin(struct pages *pages, const char *name, int fd);

/* Looks at the pages in the size bytes at offset (a multiple of 64 KiB). report is called for each
   place that is not as it should be: a page with a wrong checksum; at offset 0 a page 0 that makes
   no sense; at the end of the file (offset + size == file_size) a file that is shorter than it
   says. *looked counts the pages. */
void pages_check(const struct pages *pages, uint64_t offset, const uint8_t *data, size_t size,
                 uint64_t file_size,
                 void (*report)(void *context, uint64_t offset, const char *what), void *context,
                 uint64_t *looked);

#endif
