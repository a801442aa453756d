/* Messages between plugin and agent; see wire.h. */
#include "common/wire.h"

#include <stdarg.h>
#include <stdio.h>

#define HEADER_RESERVED 0u

void wire_put_header(uint8_t out[WIRE_HEADER_SIZE], enum wire_type type, size_t payload_size)
{
    struct bytes_writer w = bytes_writer(out, WIRE_HEADER_SIZE);
    bytes_put_u32(&w, (uint32_t)payload_size);
    bytes_put_u16(&w, (uint16_t)type);
    bytes_put_u16(&w, HEADER_RESERVED);
}

bool wire_get_header(const uint8_t in[WIRE_HEADER_SIZE], uint16_t *type, uint32_t *payload_size,
                     struct gb_error *error)
{
    struct bytes_reader r = bytes_reader(in, WIRE_HEADER_SIZE);
    *payload_size = bytes_get_u32(&r);
    *type = bytes_get_u16(&r);
    if (bytes_get_u16(&r) != HEADER_RESERVED || *payload_size > WIRE_PAYLOAD_MAX)
        return error_set(error, GB_protocol, "not a message of this protocol (type %u, %u bytes)",
                         *type, *payload_size);
    return true;
}

/* What every reader ends with: nothing missing, nothing left over. */
static bool finish(const struct bytes_reader *r, const char *name, struct gb_error *error)
{
    if (!r->failed && r->at == r->size)
        return true;
    return error_set(error, GB_protocol, "message %s of %zu bytes is malformed", name, r->size);
}

/* The readers and writers of one message stand together: PUT writes a field, GET reads the same
 * field. */
#define S(field) bytes_put_string(w, m->field)
#define G(field) bytes_get_string(&r, m->field, sizeof m->field)
#define READER(name, shape)                                                                        \
    bool wire_get_##name(const uint8_t *payload, size_t size, shape *m, struct gb_error *error)    \
    {                                                                                              \
        struct bytes_reader r = bytes_reader(payload, size);
#define READER_END(name)                                                                           \
    return finish(&r, #name, error);                                                               \
    }

bool wire_put_hello(struct bytes_writer *w, const struct wire_hello *m)
{
    bytes_put_u16(w, m->version_min);
    bytes_put_u16(w, m->version_max);
    S(server_version);
    S(node);
    S(cluster);
    return !w->failed;
}

READER(hello, struct wire_hello)
m->version_min = bytes_get_u16(&r);
m->version_max = bytes_get_u16(&r);
G(server_version);
G(node);
G(cluster);
READER_END(hello)

bool wire_put_welcome(struct bytes_writer *w, const struct wire_welcome *m)
{
    bytes_put_u16(w, m->version);
    S(agent_version);
    return !w->failed;
}

READER(welcome, struct wire_welcome)
m->version = bytes_get_u16(&r);
G(agent_version);
READER_END(welcome)

bool wire_put_start(struct bytes_writer *w, const struct wire_start *m)
{
    S(id);
    S(type);
    S(repositories);
    S(comment);
    S(user);
    S(cluster_uuid);
    S(hold);
    S(verify);
    return !w->failed;
}

READER(start, struct wire_start)
G(id);
G(type);
G(repositories);
G(comment);
G(user);
G(cluster_uuid);
G(hold);
G(verify);
READER_END(start)

bool wire_put_ready(struct bytes_writer *w, const struct wire_ready *m)
{
    S(repositories);
    return !w->failed;
}

READER(ready, struct wire_ready)
G(repositories);
READER_END(ready)

bool wire_put_error(struct bytes_writer *w, const struct wire_error *m)
{
    bytes_put_u16(w, m->code);
    S(what);
    S(hint);
    return !w->failed;
}

READER(error, struct wire_error)
m->code = bytes_get_u16(&r);
G(what);
G(hint);
READER_END(error)

bool wire_put_ring(struct bytes_writer *w, const struct wire_ring *m)
{
    bytes_put_u32(w, m->slot_size);
    bytes_put_u32(w, m->page_slots);
    bytes_put_u32(w, m->redo_slots);
    return !w->failed;
}

READER(ring, struct wire_ring)
m->slot_size = bytes_get_u32(&r);
m->page_slots = bytes_get_u32(&r);
m->redo_slots = bytes_get_u32(&r);
READER_END(ring)

bool wire_put_redo(struct bytes_writer *w, const struct wire_redo *m)
{
    bytes_put_u64(w, m->checkpoint_lsn);
    bytes_put_u64(w, m->end_lsn);
    bytes_put(w, m->header, sizeof m->header);
    return !w->failed;
}

READER(redo, struct wire_redo)
m->checkpoint_lsn = bytes_get_u64(&r);
m->end_lsn = bytes_get_u64(&r);
const uint8_t *header = bytes_take(&r, sizeof m->header);
if (header)
    memcpy(m->header, header, sizeof m->header);
READER_END(redo)

bool wire_put_file(struct bytes_writer *w, const struct wire_file *m)
{
    bytes_put_u32(w, m->file_no);
    bytes_put_u8(w, m->kind);
    bytes_put_u32(w, m->space_id);
    bytes_put_u32(w, m->page_size);
    bytes_put_u32(w, m->mode);
    S(path);
    return !w->failed;
}

READER(file, struct wire_file)
m->file_no = bytes_get_u32(&r);
m->kind = bytes_get_u8(&r);
m->space_id = bytes_get_u32(&r);
m->page_size = bytes_get_u32(&r);
m->mode = bytes_get_u32(&r);
G(path);
if (m->kind < WIRE_KIND_SYSTEM || m->kind > WIRE_KIND_DIRECTORY || !m->path[0])
    r.failed = true;
READER_END(file)

bool wire_put_slot(struct bytes_writer *w, const struct wire_slot *m)
{
    if (m->count > WIRE_EXTENTS_MAX)
        w->failed = true;
    bytes_put_u32(w, m->slot);
    bytes_put_u32(w, m->count);
    for (uint32_t i = 0; i < m->count && !w->failed; i++) {
        bytes_put_u32(w, m->extents[i].file_no);
        bytes_put_u64(w, m->extents[i].offset);
        bytes_put_u32(w, m->extents[i].length);
        bytes_put_u32(w, m->extents[i].at);
    }
    return !w->failed;
}

READER(slot, struct wire_slot)
m->slot = bytes_get_u32(&r);
m->count = bytes_get_u32(&r);
if (m->count > WIRE_EXTENTS_MAX) {
    m->count = 0;
    r.failed = true;
}
for (uint32_t i = 0; i < m->count && !r.failed; i++) {
    m->extents[i].file_no = bytes_get_u32(&r);
    m->extents[i].offset = bytes_get_u64(&r);
    m->extents[i].length = bytes_get_u32(&r);
    m->extents[i].at = bytes_get_u32(&r);
}
READER_END(slot)

bool wire_put_file_done(struct bytes_writer *w, const struct wire_file_done *m)
{
    bytes_put_u32(w, m->file_no);
    bytes_put_u64(w, m->size);
    bytes_put_u8(w, m->unverifiable);
    bytes_put_u64(w, m->sent);
    return !w->failed;
}

READER(file_done, struct wire_file_done)
m->file_no = bytes_get_u32(&r);
m->size = bytes_get_u64(&r);
m->unverifiable = bytes_get_u8(&r);
m->sent = bytes_get_u64(&r);
READER_END(file_done)

bool wire_put_file_drop(struct bytes_writer *w, const struct wire_file_no *m)
{
    bytes_put_u32(w, m->file_no);
    return !w->failed;
}

READER(file_drop, struct wire_file_no)
m->file_no = bytes_get_u32(&r);
READER_END(file_drop)

bool wire_put_file_name(struct bytes_writer *w, const struct wire_file_name *m)
{
    bytes_put_u32(w, m->file_no);
    S(path);
    return !w->failed;
}

READER(file_name, struct wire_file_name)
m->file_no = bytes_get_u32(&r);
G(path);
READER_END(file_name)

bool wire_put_log(struct bytes_writer *w, const struct wire_log *m)
{
    bytes_put_u8(w, m->level);
    S(stage);
    S(message);
    return !w->failed;
}

READER(log, struct wire_log)
m->level = bytes_get_u8(&r);
G(stage);
G(message);
READER_END(log)

bool wire_put_node_progress(struct bytes_writer *w, const struct wire_node_progress *m)
{
    S(stage);
    bytes_put_u64(w, m->bytes_total);
    bytes_put_u64(w, m->bytes_done);
    bytes_put_u64(w, m->redo_bytes);
    bytes_put_u32(w, m->percent);
    bytes_put_u32(w, m->eta_s);
    return !w->failed;
}

READER(node_progress, struct wire_node_progress)
G(stage);
m->bytes_total = bytes_get_u64(&r);
m->bytes_done = bytes_get_u64(&r);
m->redo_bytes = bytes_get_u64(&r);
m->percent = bytes_get_u32(&r);
m->eta_s = bytes_get_u32(&r);
READER_END(node_progress)

static bool put_facts(struct bytes_writer *w, const struct wire_facts *m)
{
    if (m->count > WIRE_FACTS_MAX)
        w->failed = true;
    bytes_put_u32(w, m->count);
    for (uint32_t i = 0; i < m->count && !w->failed; i++) {
        S(fact[i].key);
        S(fact[i].value);
    }
    return !w->failed;
}

static bool get_facts(const uint8_t *payload, size_t size, struct wire_facts *m, const char *name,
                      struct gb_error *error)
{
    struct bytes_reader r = bytes_reader(payload, size);
    m->count = bytes_get_u32(&r);
    if (m->count > WIRE_FACTS_MAX) {
        m->count = 0;
        r.failed = true;
    }
    for (uint32_t i = 0; i < m->count && !r.failed; i++) {
        G(fact[i].key);
        G(fact[i].value);
    }
    return finish(&r, name, error);
}

bool wire_put_finish(struct bytes_writer *w, const struct wire_facts *m)
{
    return put_facts(w, m);
}

bool wire_get_finish(const uint8_t *payload, size_t size, struct wire_facts *m,
                     struct gb_error *error)
{
    return get_facts(payload, size, m, "finish", error);
}

bool wire_put_resynced(struct bytes_writer *w, const struct wire_facts *m)
{
    return put_facts(w, m);
}

bool wire_get_resynced(const uint8_t *payload, size_t size, struct wire_facts *m,
                       struct gb_error *error)
{
    return get_facts(payload, size, m, "resynced", error);
}

bool wire_put_abort(struct bytes_writer *w, const struct wire_abort *m)
{
    bytes_put_u8(w, m->cancelled);
    bytes_put_u16(w, m->code);
    S(what);
    S(hint);
    return !w->failed;
}

READER(abort, struct wire_abort)
m->cancelled = bytes_get_u8(&r);
m->code = bytes_get_u16(&r);
G(what);
G(hint);
READER_END(abort)

bool wire_put_check(struct bytes_writer *w, const struct wire_check *m)
{
    S(repositories);
    bytes_put_u64(w, m->bytes_estimate);
    bytes_put_u64(w, m->datadir_device);
    S(cluster_uuid);
    return !w->failed;
}

READER(check, struct wire_check)
G(repositories);
m->bytes_estimate = bytes_get_u64(&r);
m->datadir_device = bytes_get_u64(&r);
G(cluster_uuid);
READER_END(check)

bool wire_put_hold(struct bytes_writer *w, const struct wire_hold *m)
{
    S(id);
    S(until);
    S(cluster_uuid);
    return !w->failed;
}

READER(hold, struct wire_hold)
G(id);
G(until);
G(cluster_uuid);
READER_END(hold)

bool wire_put_held(struct bytes_writer *w, const struct wire_held *m)
{
    S(until);
    return !w->failed;
}

READER(held, struct wire_held)
G(until);
READER_END(held)

bool wire_put_checked(struct bytes_writer *w, const struct wire_checked *m)
{
    if (m->count > sizeof m->row / sizeof m->row[0])
        w->failed = true;
    bytes_put_u32(w, m->count);
    for (uint32_t i = 0; i < m->count && !w->failed; i++) {
        S(row[i].check);
        S(row[i].result);
        S(row[i].detail);
        S(row[i].remedy);
    }
    return !w->failed;
}

READER(checked, struct wire_checked)
m->count = bytes_get_u32(&r);
if (m->count > sizeof m->row / sizeof m->row[0]) {
    m->count = 0;
    r.failed = true;
}
for (uint32_t i = 0; i < m->count && !r.failed; i++) {
    G(row[i].check);
    G(row[i].result);
    G(row[i].detail);
    G(row[i].remedy);
}
READER_END(checked)

bool wire_put_free(struct bytes_writer *w, const struct wire_free *m)
{
    if (m->count > WIRE_FREE_MAX)
        w->failed = true;
    bytes_put_u32(w, m->count);
    for (uint32_t i = 0; i < m->count && !w->failed; i++)
        bytes_put_u32(w, m->slot[i]);
    return !w->failed;
}

READER(free, struct wire_free)
m->count = bytes_get_u32(&r);
if (m->count > WIRE_FREE_MAX) {
    m->count = 0;
    r.failed = true;
}
for (uint32_t i = 0; i < m->count && !r.failed; i++)
    m->slot[i] = bytes_get_u32(&r);
READER_END(free)

bool wire_put_progress(struct bytes_writer *w, const struct wire_progress *m)
{
    bytes_put_u64(w, m->bytes_stored);
    bytes_put_u64(w, m->store_rate);
    bytes_put_u8(w, m->bottleneck);
    bytes_put_u8(w, m->redo_full);
    S(repositories);
    return !w->failed;
}

READER(progress, struct wire_progress)
m->bytes_stored = bytes_get_u64(&r);
m->store_rate = bytes_get_u64(&r);
m->bottleneck = bytes_get_u8(&r);
m->redo_full = bytes_get_u8(&r);
G(repositories);
READER_END(progress)

bool wire_put_committed(struct bytes_writer *w, const struct wire_committed *m)
{
    bytes_put_u64(w, m->bytes_stored);
    S(repositories);
    return !w->failed;
}

READER(committed, struct wire_committed)
m->bytes_stored = bytes_get_u64(&r);
G(repositories);
READER_END(committed)

bool wire_put_warning(struct bytes_writer *w, const struct wire_warning *m)
{
    S(text);
    return !w->failed;
}

READER(warning, struct wire_warning)
G(text);
READER_END(warning)

const char *wire_fact(const struct wire_facts *facts, const char *key)
{
    for (uint32_t i = 0; i < facts->count; i++)
        if (!strcmp(facts->fact[i].key, key))
            return facts->fact[i].value;
    return "";
}

const char *wire_fact_part(const struct wire_facts *facts, const char *key, unsigned part)
{
    char name[WIRE_NAME_MAX];
    snprintf(name, sizeof name, "%s+%u", key, part);
    return wire_fact(facts, part > 1 ? name : key);
}

bool wire_add_fact(struct wire_facts *facts, const char *key, const char *format, ...)
{
    if (facts->count >= WIRE_FACTS_MAX || strlen(key) >= WIRE_NAME_MAX)
        return false;
    struct wire_fact *f = &facts->fact[facts->count];
    snprintf(f->key, sizeof f->key, "%s", key);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(f->value, sizeof f->value, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof f->value)
        return false;
    facts->count++;
    return true;
}

void wire_add_check(struct wire_checked *rows, const char *check, const char *result,
                    const char *detail, const char *remedy)
{
    if (rows->count >= sizeof rows->row / sizeof rows->row[0])
        return;
    snprintf(rows->row[rows->count].check, sizeof rows->row[0].check, "%s", check);
    snprintf(rows->row[rows->count].result, sizeof rows->row[0].result, "%s", result);
    snprintf(rows->row[rows->count].detail, sizeof rows->row[0].detail, "%s", detail);
    snprintf(rows->row[rows->count].remedy, sizeof rows->row[0].remedy, "%s", remedy);
    rows->count++;
}
