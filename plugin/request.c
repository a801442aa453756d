/*
  What a command asks for; see request.h.

  The text comes from whoever may execute the procedures. The server's JSON service finds keys and
  items in it and undoes escapes; what it does not check (that all of the text is JSON, that names
  are not doubled) makes no difference here: a key that is not looked for is not seen, and names of
  options travel beside them.
*/
#include "plugin/server.h"
#include "plugin/request.h"
#include "common/nearest.h"

#include <stdio.h>
#include <string.h>

#define SCALE_MAX                                                                                  \
  1000000000ull /* nine digits of a fraction: times the greatest unit they fit 64 bits */

struct json
{
  const char *at, *end;
};

/* ---- JSON: the server's own service ---- */

static bool get(struct json object, const char *key, enum json_types *type, struct json *value)
{
  const char *at;
  int length;
  *type = json_get_object_key(object.at, object.end, key, &at, &length);
  if (*type == JSV_NOTHING || *type == JSV_BAD_JSON || *type == JSV_NULL)
    return false;
  *value = (struct json){at, at + length};
  return true;
}

/* False too if the text holds a NUL character: what follows it would not be seen. */
static bool unescape(struct json value, char *out, size_t size)
{
  int n = json_unescape_json(value.at, value.end, out, out + size - 1);
  out[n < 0 ? 0 : n] = '\0';
  return n >= 0 && strlen(out) == (size_t)n;
}

static bool bad(struct gb_error *error, const char *key, struct json value, const char *want)
{
  return error_set(error, GB_bad_value, "%s cannot be \"%.*s\": %s", key,
                   (int)(value.end - value.at > 80 ? 80 : value.end - value.at), value.at, want);
}

static bool get_text(struct json options, const char *key, char *out, size_t size,
                     struct gb_error *error)
{
  enum json_types type;
  struct json v;
  if (!get(options, key, &type, &v))
    return true;
  if (type != JSV_STRING || !unescape(v, out, size))
    return bad(error, key, v, "it must be a text, and not too long");
  return true;
}

static bool get_bool(struct json options, const char *key, bool *out, struct gb_error *error)
{
  enum json_types type;
  struct json v;
  if (!get(options, key, &type, &v))
    return true;
  if (type != JSV_TRUE && type != JSV_FALSE)
    return bad(error, key, v, "it must be true or false");
  *out = type == JSV_TRUE;
  return true;
}

/* Units of a kind of number, the first for a number without one; text: what messages say of them.
 */
struct units
{
  struct
  {
    const char *name;
    uint64_t factor;
  } unit[6];
  bool fraction;
  const char *text;
};

static const struct units count_units = {{{"", 1}}, false, ""};
static const struct units byte_units = {
    {{"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}},
    true,
    ", as a number of bytes or a text with a unit (K, M, G)"};
static const struct units time_units = {
    {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}},
    true,
    ", as a number of seconds or a text with a unit (ms, s, m, h)"};

/* Options that are numbers; least and most count bytes, milliseconds or threads, range says the
 * same in words. */
static const struct number_option
{
  const char *key;
  const struct units *units;
  uint64_t least, most;
  const char *range;
} rate_option = {"rate", &byte_units, 0, 1ull << 50, "from 0 (no limit) to 1048576G"},
  busy_rate_option = {"busy_rate", &byte_units, 0, 1ull << 40,
                      "from 0 (as fast as it can) to 1024G"},
  threads_option = {"threads", &count_units, 1, 64, "a whole number from 1 to 64"},
  lock_wait_option = {"lock_wait", &time_units, 0, 86400000, "from 0 to 24h"},
  block_timeout_option = {"block_timeout", &time_units, 10, 60000, "from 10ms to 60s"},
  max_duration_option = {"max_duration", &time_units, 1000, 31536000000ull, "from 1s to 365 days"},
  resync_timeout_option = {"resync_timeout", &time_units, 1000, 86400000, "from 1s to 24h"};

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

/* Digits, a fraction, a unit and nothing else: no sign, no space, no exponent. What is left of the
   smallest unit counts as a whole one: a rate of half a byte must not become 0, which is none.
   False: not such a number, or above most. */
static bool parse_number(const char *text, const struct units *units, uint64_t most, uint64_t *out)
{
  const char *at = text;
  uint64_t whole = 0, fraction = 0, scale = 1;
  for (; is_digit(*at); at++)
  {
    uint64_t digit = (uint64_t)(*at - '0');
    if (digit > most || whole > (most - digit) / 10)
      return false;
    whole = whole * 10 + digit;
  }
  if (at == text)
    return false;
  if (*at == '.' && units->fraction)
  {
    at++;
    for (; is_digit(*at) && scale < SCALE_MAX; at++, scale *= 10)
      fraction = fraction * 10 + (uint64_t)(*at - '0');
    if (scale == 1)
      return false;
  }
  for (size_t i = 0; i < sizeof units->unit / sizeof units->unit[0] && units->unit[i].name; i++)
  {
    uint64_t factor = units->unit[i].factor;
    if (strcmp(at, units->unit[i].name))
      continue;
    if (whole > most / factor)
      return false;
    *out = whole * factor + (fraction * factor + scale - 1) / scale;
    return *out <= most;
  }
  return false;
}

/* Leaves *out as it is if the option is not given. */
static bool get_number(struct json options, const struct number_option *option, uint64_t *out,
                       struct gb_error *error)
{
  enum json_types type;
  struct json v;
  if (!get(options, option->key, &type, &v))
    return true;
  char text[32], want[160];
  uint64_t number;
  if ((type != JSV_NUMBER && type != JSV_STRING) || !unescape(v, text, sizeof text) ||
      !parse_number(text, option->units, option->most, &number) || number < option->least)
  {
    snprintf(want, sizeof want, "it must be %s%s", option->range, option->units->text);
    return bad(error, option->key, v, want);
  }
  *out = number;
  return true;
}

/* A name or an array of names, joined by commas. */
static bool get_names(struct json options, const char *key, char *out, size_t size,
                      struct gb_error *error)
{
  enum json_types type;
  struct json v;
  if (!get(options, key, &type, &v))
    return true;
  if (type == JSV_STRING)
    return unescape(v, out, size) || bad(error, key, v, "it is too long");
  if (type != JSV_ARRAY)
    return bad(error, key, v, "it must be a name or an array of names");
  size_t used = 0;
  for (int i = 0;; i++)
  {
    const char *at;
    int length;
    enum json_types item = json_get_array_item(v.at, v.end, i, &at, &length);
    if (item == JSV_NOTHING)
      return true;
    char name[256];
    if (item != JSV_STRING || !unescape((struct json){at, at + length}, name, sizeof name) ||
        used + strlen(name) + 2 > size)
      return bad(error, key, v, "it must be a name or an array of names");
    used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "," : "", name);
  }
}

/* ---- keys ---- */

/* Every name in the array must be one of known (NULL-terminated). The procedure sends the keys of
   its options beside them: the server's JSON service can look a key up but not list them. */
static bool check_keys(struct json keys, const char *const *known, const char *what,
                       struct gb_error *error)
{
  for (int i = 0; keys.at; i++)
  {
    const char *at;
    int length;
    enum json_types type = json_get_array_item(keys.at, keys.end, i, &at, &length);
    if (type == JSV_NOTHING)
      return true;
    char key[64] = "";
    if (type != JSV_STRING || !unescape((struct json){at, at + length}, key, sizeof key))
      return error_set(error, GB_unknown_option, "%s has options that are no names", what);
    const char *nearest = NULL;
    unsigned least = NEAREST_MAX + 1;
    bool found = false;
    for (const char *const *k = known; *k && !found; k++)
    {
      unsigned d = nearest_distance(key, *k);
      found = d == 0;
      if (d < least)
      {
        least = d;
        nearest = *k;
      }
    }
    if (found)
      continue;
    error_set(error, GB_unknown_option, "%s has no option \"%s\"", what, key);
    if (nearest)
      error_hint(error, "perhaps \"%s\" was meant", nearest);
    return false;
  }
  return true;
}

static const char *const start_keys[] = {"type",           "repository",
                                         "node",           "writer",
                                         "require",        "label_suffix",
                                         "comment",        "hold",
                                         "wait",           "rate",
                                         "threads",        "lock_wait",
                                         "block_timeout",  "max_duration",
                                         "resync_timeout", "verify",
                                         "dry_run",        "idempotency_key",
                                         "busy_rate",      NULL};
static const char *const set_keys[] = {"rate", "busy_rate", "threads", NULL};
static const char *const check_keys_known[] = {"repository", NULL};

/* Options that a later release brings: refused by name where they ask for something that is not
 * done. */
static bool refuse_later(struct json options, struct gb_error *error)
{
  static const struct
  {
    const char *key, *allowed[2], *hint;
  } later[] = {{"type", {"full", "auto"}, "give \"full\" or \"auto\""},
               {"writer", {"refuse"}, "give \"refuse\""},
               {"require", {"node"}, "give \"node\""}};
  enum json_types type;
  struct json v;
  char text[64];
  for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
  {
    if (!get(options, later[i].key, &type, &v))
      continue;
    if (!get_text(options, later[i].key, text, sizeof text, error))
      return false;
    bool allowed = false;
    for (size_t k = 0; k < sizeof later[i].allowed / sizeof later[i].allowed[0]; k++)
      allowed = allowed || (later[i].allowed[k] && !strcmp(text, later[i].allowed[k]));
    if (allowed)
      continue;
    error_set(error, GB_not_supported, "%s \"%s\" is not supported by this release", later[i].key,
              text);
    error_hint(error, "%s", later[i].hint);
    return false;
  }
  static const struct
  {
    const char *key, *hint;
  } absent[] = {{"label_suffix", "leave it out"}, {"idempotency_key", "leave it out"}};
  for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
  {
    if (!get(options, absent[i].key, &type, &v))
      continue;
    error_set(error, GB_not_supported, "the option %s is not supported by this release",
              absent[i].key);
    error_hint(error, "%s", absent[i].hint);
    return false;
  }
  return true;
}

/* true: until it is released; a text: until then, which the agent reads; false: not at all. */
static bool get_hold(struct json options, char *out, size_t size, struct gb_error *error)
{
  enum json_types type;
  struct json v;
  if (!get(options, "hold", &type, &v) || type == JSV_FALSE)
    return true;
  if (type == JSV_TRUE)
    return snprintf(out, size, "forever") > 0;
  return (type == JSV_STRING && unescape(v, out, size)) ||
         bad(error, "hold", v,
             "it must be true, false, or until when in UTC, like \"2027-01-31T00:00:00Z\"");
}

/* How the backup is read back before it counts as succeeded. */
static bool get_verify(struct json options, char *out, size_t size, struct gb_error *error)
{
  enum json_types type;
  struct json v;
  if (!get(options, "verify", &type, &v))
    return true;
  return (type == JSV_STRING && unescape(v, out, size) &&
          (!strcmp(out, "none") || !strcmp(out, "quick") || !strcmp(out, "deep"))) ||
         bad(error, "verify", v, "it must be \"none\", \"quick\" or \"deep\"");
}

static bool parse_start(struct json options, struct json keys, struct backup_options *o,
                        struct gb_error *error)
{
  uint64_t threads = o->threads, lock_wait = o->lock_wait_s * 1000ull, block = o->block_timeout_ms,
           duration = o->max_duration_s * 1000ull, resync = o->resync_timeout_s * 1000ull;
  bool ignored = false;
  bool ok = check_keys(keys, start_keys, "BACKUP_START", error) && refuse_later(options, error) &&
            get_hold(options, o->hold, sizeof o->hold, error) &&
            get_verify(options, o->verify, sizeof o->verify, error) &&
            get_text(options, "comment", o->comment, sizeof o->comment, error) &&
            get_names(options, "repository", o->repositories, sizeof o->repositories, error) &&
            get_bool(options, "dry_run", &o->dry_run, error) &&
            get_bool(options, "wait", &ignored, error) &&
            get_number(options, &rate_option, &o->rate, error) &&
            get_number(options, &busy_rate_option, &o->busy_rate, error) &&
            get_number(options, &threads_option, &threads, error) &&
            get_number(options, &lock_wait_option, &lock_wait, error) &&
            get_number(options, &block_timeout_option, &block, error) &&
            get_number(options, &max_duration_option, &duration, error) &&
            get_number(options, &resync_timeout_option, &resync, error);
  o->threads = (unsigned)threads;
  o->lock_wait_s = (unsigned)((lock_wait + 999) / 1000);
  o->block_timeout_ms = (unsigned)block;
  o->max_duration_s = (unsigned)(duration / 1000);
  o->resync_timeout_s = (unsigned)(resync / 1000);
  return ok;
}

/* ---- operations ---- */

static bool parse_check(struct json options, struct json keys, struct backup_options *o,
                        struct gb_error *error)
{
  return check_keys(keys, check_keys_known, "BACKUP_CHECK", error) &&
         get_names(options, "repository", o->repositories, sizeof o->repositories, error);
}

static bool parse_set(struct json options, struct json keys, struct request *r,
                      struct gb_error *error)
{
  uint64_t rate = UINT64_MAX, busy_rate = UINT64_MAX, threads = 0;
  if (options.at && (!check_keys(keys, set_keys, "BACKUP_SET", error) ||
                     !get_number(options, &rate_option, &rate, error) ||
                     !get_number(options, &busy_rate_option, &busy_rate, error) ||
                     !get_number(options, &threads_option, &threads, error)))
    return false;
  if (rate == UINT64_MAX && busy_rate == UINT64_MAX && !threads)
    return error_set(error, GB_bad_value, "BACKUP_SET needs rate, busy_rate or threads");
  r->set_rate = rate == UINT64_MAX ? -1 : (int64_t)rate;
  r->set_busy_rate = busy_rate == UINT64_MAX ? -1 : (int64_t)busy_rate;
  r->set_threads = (int)threads;
  return true;
}

static bool find_op(const char *op, enum request_op *out)
{
  static const char *const names[] = {
      [REQUEST_START] = "start",   [REQUEST_CHECK] = "check", [REQUEST_CHECK_ROWS] = "check_rows",
      [REQUEST_CANCEL] = "cancel", [REQUEST_SET] = "set",     [REQUEST_HOLD] = "hold"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (!strcmp(op, names[i]))
    {
      *out = (enum request_op)i;
      return true;
    }
  return false;
}

bool request_parse(const char *text, int length, struct request *r, struct gb_error *error)
{
  struct backup_options *o = &r->options;
  struct json command = {text, text + length}, options = {0}, keys = {0};
  char op[32] = "";
  enum json_types type;
  const char *at = NULL;
  int size = 0;
  if (json_type(command.at, command.end, &at, &size) != JSV_OBJECT)
    return error_set(error, GB_bad_value, "the command is not a JSON object");
  if (!get_text(command, "op", op, sizeof op, error) ||
      !get_text(command, "id", o->id, sizeof o->id, error) ||
      !get_text(command, "user", o->user, sizeof o->user, error) ||
      !get_text(command, "node", o->node, sizeof o->node, error) ||
      !get_text(command, "cluster", o->cluster, sizeof o->cluster, error) ||
      !get_text(command, "cluster_uuid", o->cluster_uuid, sizeof o->cluster_uuid, error))
    return false;
  if (get(command, "options", &type, &options) && type != JSV_OBJECT)
    return bad(error, "options", options, "they must be a JSON object");
  if (get(command, "keys", &type, &keys) && type != JSV_ARRAY)
    return bad(error, "keys", keys, "they must be an array");
  if (!find_op(op, &r->op))
    return error_set(error, GB_bad_value, "there is no operation \"%s\"", op);
  switch (r->op)
  {
  case REQUEST_START:
    return (o->id[0] || error_set(error, GB_bad_value, "start needs an id")) &&
           (!options.at || parse_start(options, keys, o, error));
  case REQUEST_CHECK:
    return !options.at || parse_check(options, keys, o, error);
  case REQUEST_SET:
    return parse_set(options, keys, r, error);
  case REQUEST_HOLD:
    return get_text(options, "until", o->hold, sizeof o->hold, error);
  case REQUEST_CHECK_ROWS:
  case REQUEST_CANCEL:
    return true;
  }
  return false;
}
