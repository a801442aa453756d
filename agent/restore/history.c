/* The history that a restored Galera directory belongs to; see history.h. */
#include "agent/restore/history.h"
#include "agent/hex.h"
#include "common/page.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORGET_TIMEOUT_S 60u
#define TOKEN_BYTES      6u /* of one that is made: 12 hex digits */
#define TOKEN_SIGNS      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-"

/* ---- the uuid ---- */

static bool make_uuid(const struct manifest *m, const char *token, uint8_t uuid[RSEG_UUID_SIZE])
{
    char text[1024];
    uint8_t hash[EVP_MAX_MD_SIZE];
    int n =
        snprintf(text, sizeof text, "galera-backup history\n%s\n%s\n%s", m->id, m->nonce, token);
    if (!EVP_Digest(text, (size_t)n, hash, NULL, EVP_sha256(), NULL))
        return false;
    memcpy(uuid, hash, RSEG_UUID_SIZE);
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x80); /* version 8 */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80); /* the RFC's variant */
    return true;
}

static bool make_token(struct history *h, struct gb_error *error)
{
    uint8_t bytes[TOKEN_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return error_set(error, GB_internal, "no random numbers");
    hex_write(bytes, TOKEN_BYTES, h->token);
    h->token_made = true;
    return true;
}

bool history_choose(struct history *h, const char *option, bool safe_to_bootstrap,
                    const char *begun, const struct manifest *m, struct gb_error *error)
{
    memset(h, 0, sizeof *h);
    snprintf(h->position, sizeof h->position, "%s", manifest_position(m));
    if (!option)
        option = safe_to_bootstrap ? "new" : "keep";
    if (!strcmp(option, "keep"))
        return true;
    const char *token = !strncmp(option, "new:", 4) ? option + 4 : NULL;
    if (!token && strcmp(option, "new"))
        return error_set(error, GB_bad_value, "--history %s is neither keep nor new nor new:TOKEN",
                         option);
    if (!token && begun[0])
        token = begun;
    if (token &&
        (!token[0] || strlen(token) > HISTORY_TOKEN_MAX || token[strspn(token, TOKEN_SIGNS)]))
        return error_set(error, GB_bad_value,
                         "--history new:TOKEN needs 1 to %u letters, digits, \".\", \"_\" or \"-\"",
                         HISTORY_TOKEN_MAX);
    h->new = true;
    if (token)
        snprintf(h->token, sizeof h->token, "%s", token);
    else if (!make_token(h, error))
        return false;
    uint8_t uuid[RSEG_UUID_SIZE];
    const char *seqno = strrchr(manifest_position(m), ':');
    if (!seqno || !make_uuid(m, h->token, uuid))
        return error_set(error, GB_bad_value,
                         "%s has no Galera position, so there is no history to change", m->id);
    rseg_position_text(uuid, strtoll(seqno + 1, NULL, 10), h->position);
    return true;
}

/* ---- the server's own notes ---- */

bool history_forget_view(struct private_server *server, struct gb_error *error)
{
    static const char list[] = "SELECT table_name FROM information_schema.tables WHERE "
                               "table_schema = 'mysql' AND table_name IN "
                               "('wsrep_cluster', 'wsrep_cluster_members', 'wsrep_streaming_log')";
    MYSQL_RES *names = NULL;
    char sql[256];
    struct connection *c = private_server_connect(server, FORGET_TIMEOUT_S, error);
    bool ok = c && private_server_query(server, c, list, &names, error);
    for (MYSQL_ROW row; ok && names && (row = mysql_fetch_row(names));) {
        snprintf(sql, sizeof sql, "DELETE FROM mysql.`%s`", row[0]);
        ok = private_server_query(server, c, sql, NULL, error);
    }
    if (names)
        mysql_free_result(names);
    connection_close(c);
    return ok;
}

/* ---- the pages ---- */

struct pages {
    const struct layout *layout;
    bool write;
    uint8_t *page;
    int fd;           /* of the file opened last */
    const char *path; /* its name, of layout */
    struct space_format format;
};

static bool fail(const struct pages *p, uint32_t page_no, const char *why, struct gb_error *error)
{
    return error_set(error, GB_position_differs, "%s, page %" PRIu32 ": %s", p->path, page_no, why);
}

/* The format of the space's pages is on page 0 of its first file. */
static bool read_format(struct pages *p, uint32_t space_id, struct gb_error *error)
{
    struct space_info info;
    uint64_t offset;
    bool zero = false;
    const char *first = layout_find(p->layout, space_id, 0, &offset);
    int fd = first ? open(first, O_RDONLY | O_CLOEXEC) : -1;
    bool ok =
        fd >= 0 && pread(fd, p->page, p->layout->page_size, 0) == (ssize_t)p->layout->page_size;
    if (!ok)
        error_set_errno(error, GB_target_failed, errno, "%s can't be read",
                        first ? first : "a tablespace");
    if (fd >= 0)
        close(fd);
    if (!ok || !space_parse(p->page, p->layout->page_size, &info, &zero, error))
        return zero ? error_set(error, GB_position_differs, "%s: the first page is empty", first)
                    : false;
    p->format = info.format;
    return true;
}

static bool read_page(struct pages *p, uint32_t space_id, uint32_t page_no, uint64_t *offset,
                      struct gb_error *error)
{
    const char *path = layout_find(p->layout, space_id, page_no, offset);
    if (!path)
        return error_set(error, GB_position_differs,
                         "tablespace %" PRIu32 ", which holds a rollback segment, is not there",
                         space_id);
    if (path != p->path) {
        if (p->fd >= 0)
            close(p->fd);
        p->fd = open(path, (p->write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
        p->path = path;
        if (p->fd < 0)
            return error_set_errno(error, GB_target_failed, errno, "%s can't be opened", path);
        if (!read_format(p, space_id, error))
            return false;
    }
    if (pread(p->fd, p->page, p->layout->page_size, (off_t)*offset) !=
        (ssize_t)p->layout->page_size)
        return error_set_errno(error, GB_target_failed, errno, "%s can't be read", path);
    return page_verify(&p->format, page_no, p->page) == PAGE_WHOLE ||
           fail(p, page_no, "the page is not whole", error);
}

static bool write_page(struct pages *p, uint32_t page_no, uint64_t offset, struct gb_error *error)
{
    if (!page_seal(&p->format, p->page))
        return fail(p, page_no, "the page is encrypted", error);
    if (pwrite(p->fd, p->page, p->layout->page_size, (off_t)offset) !=
            (ssize_t)p->layout->page_size ||
        fdatasync(p->fd))
        return error_set_errno(error, GB_target_failed, errno, "%s can't be written", p->path);
    return true;
}

/* Visits the header pages of all rollback segments: the highest position is read, or all get the
 * uuid of new. */
static bool visit(struct pages *p, const uint8_t *new, char *position, struct gb_error *error)
{
    struct rseg_slot slots[RSEG_SLOTS];
    uint8_t uuid[RSEG_UUID_SIZE];
    int64_t seqno, highest = RSEG_SEQNO_NONE;
    uint64_t offset;
    if (!read_page(p, 0, RSEG_TRX_SYS_PAGE, &offset, error))
        return false;
    unsigned count = rseg_slots(p->page, p->layout->page_size, slots);
    for (unsigned i = 0; i < count; i++) {
        if (!read_page(p, slots[i].space_id, slots[i].page_no, &offset, error))
            return false;
        if (!rseg_position(p->page, p->layout->page_size, uuid, &seqno))
            continue;
        if (new && !(rseg_set_uuid(p->page, p->layout->page_size, new) &&
                     write_page(p, slots[i].page_no, offset, error)))
            return false;
        if (seqno > highest && position) {
            highest = seqno;
            rseg_position_text(uuid, seqno, position);
        }
    }
    return true;
}

static bool walk(const struct layout *layout, const uint8_t *new, char *position,
                 struct gb_error *error)
{
    struct pages p = {
        .layout = layout, .write = new != NULL, .fd = -1, .page = malloc(layout->page_size)};
    bool ok = p.page ? visit(&p, new, position, error) : error_set(error, GB_internal, "no memory");
    if (p.fd >= 0)
        close(p.fd);
    free(p.page);
    return ok;
}

bool history_read(const struct layout *layout, char *position, struct gb_error *error)
{
    position[0] = '\0';
    return walk(layout, NULL, position, error);
}

bool history_write(const struct layout *layout, const char *position, struct gb_error *error)
{
    uint8_t uuid[RSEG_UUID_SIZE];
    for (unsigned i = 0, at = 0; i < RSEG_UUID_SIZE; i++, at += 2) {
        unsigned byte = 0;
        at += position[at] == '-';
        if (sscanf(position + at, "%2x", &byte) != 1)
            return error_set(error, GB_internal, "%s is not a position", position);
        uuid[i] = (uint8_t)byte;
    }
    return walk(layout, uuid, NULL, error);
}
