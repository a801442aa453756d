/* The pages of a file that is being saved; see pages.h. */
#include "agent/save/pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRX_SYS_PAGE 5u

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && !strcmp(text + n - m, end);
}

bool pages_is_tablespace(const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    return ends_with(name, ".ibd") || !strcmp(base, "ibdata1") ||
           (!strncmp(base, "undo", 4) && strlen(base) == 7 && strspn(base + 4, "0123456789") == 3);
}

/* The bytes that are there, up to size. */
static size_t read_at(int fd, uint8_t *data, size_t size, uint64_t offset)
{
    size_t have = 0;
    while (have < size) {
        ssize_t n = pread(fd, data + have, size - have, (off_t)(offset + have));
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    return have;
}

void pages_begin(struct pages *p, const char *name, int fd)
{
    memset(p, 0, sizeof *p);
    if (!(p->tablespace = pages_is_tablespace(name)))
        return;
    struct gb_error ignored = {0};
    uint8_t *page = malloc(SPACE_PAGE_SIZE_MAX);
    size_t size = page ? read_at(fd, page, SPACE_PAGE_SIZE_MAX, 0) : 0;
    p->known = size >= 1024 && space_parse(page, size, &p->info, &p->zero, &ignored);
    uint32_t page_size = p->info.format.page_size;
    if (p->known && !p->info.id &&
        read_at(fd, page, page_size, (uint64_t)TRX_SYS_PAGE * page_size) == page_size &&
        page_verify(&p->info.format, TRX_SYS_PAGE, page) == PAGE_WHOLE &&
        !space_doublewrite(&p->info.format, page, &p->doublewrite[0], &p->doublewrite[1],
                           &p->doublewrite_pages))
        p->doublewrite_pages = 0;
    free(page);
}

static bool in_doublewrite(const struct pages *p, uint32_t page_no)
{
    for (unsigned i = 0; i < 2; i++)
        if (p->doublewrite_pages && page_no >= p->doublewrite[i] &&
            page_no - p->doublewrite[i] < p->doublewrite_pages)
            return true;
    return false;
}

void pages_check(const struct pages *p, uint64_t offset, const uint8_t *data, size_t size,
                 uint64_t file_size,
                 void (*report)(void *context, uint64_t offset, const char *what), void *context,
                 uint64_t *looked)
{
    char text[128];
    uint32_t page_size = p->info.format.page_size;
    if (p->tablespace && !p->known && !p->zero && !offset)
        report(context, 0, "page 0 makes no sense: the others are not looked at");
    if (!p->known)
        return;
    for (size_t at = 0; at + page_size <= size; at += page_size) {
        uint32_t page_no = (uint32_t)((offset + at) / page_size);
        if (in_doublewrite(p, page_no))
            continue;
        ++*looked;
        if (page_verify(&p->info.format, page_no, data + at) != PAGE_CORRUPT)
            continue;
        snprintf(text, sizeof text, "page %u has a wrong checksum", page_no);
        report(context, offset + at, text);
    }
    if (offset + size < file_size)
        return;
    if (file_size % page_size) {
        report(context, file_size / page_size * page_size, "the file ends within a page");
    } else if (p->info.id && file_size / page_size < p->info.size) {
        snprintf(text, sizeof text, "the file ends after %" PRIu64 " of %u pages",
                 file_size / page_size, p->info.size);
        report(context, file_size, text);
    }
}
