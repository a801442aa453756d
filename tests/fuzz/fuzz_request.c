/*
  The JSON text of a command, with the options of BACKUP_START, BACKUP_CHECK and BACKUP_SET
  (plugin/request.h), read by the JSON functions of the server itself.

  Input: the text.
*/
#include "plugin/server.h"
#include "plugin/request.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#undef json_type
#undef json_get_array_item
#undef json_get_object_key
#undef json_unescape_json

enum json_types json_type(const char *js, const char *js_end, const char **value, int *value_len);
enum json_types json_get_array_item(const char *js, const char *js_end, int n_item,
                                    const char **value, int *value_len);
enum json_types json_get_object_key(const char *js, const char *js_end, const char *key,
                                    const char **value, int *value_len);
int json_unescape_json(const char *json_str, const char *json_end, char *res, char *res_end);

/* Set where mariadbd starts, to this: what json_unescape_json() writes. */
extern struct charset_info_st *system_charset_info;
extern struct charset_info_st my_charset_utf8mb3_general_ci;

/* In mariadbd the plugin's pointer is set when it is loaded. */
static struct json_service_st functions = {.json_type = json_type,
                                           .json_get_array_item = json_get_array_item,
                                           .json_get_object_key = json_get_object_key,
                                           .json_unescape_json = json_unescape_json};
struct json_service_st *json_service = &functions;

static void require_text(const char *text, size_t size)
{
    REQUIRE(memchr(text, 0, size));
}

int fuzz_input(const uint8_t *data, size_t size)
{
    struct request r = {
        .options = {
            .threads = 4, .lock_wait_s = 60, .block_timeout_ms = 2000, .resync_timeout_s = 600}};
    struct gb_error error = {0};
    system_charset_info = &my_charset_utf8mb3_general_ci;
    bool ok = request_parse((const char *)data, (int)size, &r, &error);
    const struct backup_options *o = &r.options;
    require_text(o->id, sizeof o->id);
    require_text(o->user, sizeof o->user);
    require_text(o->comment, sizeof o->comment);
    require_text(o->repositories, sizeof o->repositories);
    if (!ok) {
        REQUIRE(error.code == GB_bad_value || error.code == GB_unknown_option ||
                error.code == GB_not_supported);
        REQUIRE(error.what[0] && error.hint[0]);
        return 0;
    }
    REQUIRE(r.op != REQUEST_START || o->id[0]);
    REQUIRE(o->threads >= 1 && o->threads <= 64 && o->rate <= 1ull << 50 &&
            o->busy_rate <= 1ull << 40);
    REQUIRE(o->lock_wait_s <= 86400 && o->block_timeout_ms >= 10 && o->block_timeout_ms <= 60000);
    REQUIRE(o->resync_timeout_s >= 1 && o->resync_timeout_s <= 86400 &&
            o->max_duration_s <= 31536000);
    REQUIRE(r.op != REQUEST_SET || (r.set_rate >= -1 && r.set_busy_rate >= -1 &&
                                    (r.set_rate >= 0 || r.set_busy_rate >= 0 || r.set_threads)));
    return 0;
}
