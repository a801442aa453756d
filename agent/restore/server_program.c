/* The mariadbd of this host; see server_program.h. */
#include "agent/restore/server_program.h"
#include "common/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const usual_programs[] = {"/usr/sbin/mariadbd",
                                             "/usr/bin/mariadbd",
                                             "/usr/libexec/mariadbd",
                                             "/usr/local/sbin/mariadbd",
                                             "/usr/local/mysql/bin/mariadbd",
                                             "/usr/local/bin/mariadbd"};

/* What the program prints with these arguments, at most size - 1 bytes. */
static bool output_of(const char *program, const char *arguments, char *out, size_t size)
{
    char command[WIRE_PATH_MAX + 64];
    snprintf(command, sizeof command, "'%s' %s 2>/dev/null", program, arguments);
    FILE *f = strchr(program, '\'') ? NULL : popen(command, "re");
    size_t n = f ? fread(out, 1, size - 1, f) : 0;
    out[n] = '\0';
    return f && !pclose(f) && n;
}

static bool version_of(const char *program, char *version, size_t size)
{
    char text[1024];
    bool ok = output_of(program, "--no-defaults --version", text, sizeof text);
    const char *at = strstr(text, "Ver ");
    if (!ok || !at)
        return false;
    snprintf(version, size, "%.*s", (int)strcspn(at + 4, " \n"), at + 4);
    return true;
}

bool server_program_find(char *program, size_t program_size, char *version, size_t version_size,
                         struct gb_error *error)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : ""; *at; at += strcspn(at, ":"), at += *at == ':') {
        snprintf(program, program_size, "%.*s/mariadbd", (int)strcspn(at, ":"), at);
        if (*at == '/' && !access(program, X_OK) && version_of(program, version, version_size))
            return true;
    }
    for (size_t i = 0; i < sizeof usual_programs / sizeof usual_programs[0]; i++) {
        snprintf(program, program_size, "%s", usual_programs[i]);
        if (!access(program, X_OK) && version_of(program, version, version_size))
            return true;
    }
    return error_set(error, GB_no_server,
                     "there is no mariadbd on this host, neither in PATH nor in /usr/sbin");
}

bool server_program_fits(const char *program, const char *version, const char *source,
                         struct gb_error *error)
{
    unsigned here[3] = {0}, there[3] = {0};
    if (sscanf(version, "%u.%u.%u", &here[0], &here[1], &here[2]) != 3 ||
        sscanf(source, "%u.%u.%u", &there[0], &there[1], &there[2]) != 3 || here[0] != there[0] ||
        here[1] != there[1] || here[2] < there[2])
        return error_set(
            error, GB_no_server,
            "%s is %s and the backup is of a server %s: the same series is needed, not older",
            program, version, source);
    return true;
}

uint64_t server_program_configured_pool(const char *program)
{
    char text[65536];
    uint64_t bytes = 0;
    if (!output_of(program, "--print-defaults", text, sizeof text))
        return 0;
    /* --innodb-buffer-pool-size=4G, as the files spell it; the last one holds */
    for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) {
        static const char name[] = "--innodb-buffer-pool-size=";
        char *end;
        for (char *c = word; *c && *c != '='; c++)
            *c = *c == '_' ? '-' : *c;
        if (strncmp(word, name, strlen(name)))
            continue;
        bytes = strtoull(word + strlen(name), &end, 10);
        static const char units[] = "kmgt";
        const char *unit = *end ? strchr(units, *end | 0x20) : NULL;
        if (unit)
            bytes <<= 10 * (unit - units + 1);
    }
    return bytes;
}

struct settings {
    char *out;
    size_t size, at;
};

__attribute__((format(printf, 2, 3))) static void put(struct settings *s, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(s->out + s->at, s->size - s->at, format, list);
    va_end(list);
    s->at += n > 0 ? (size_t)n : 0;
    if (s->at >= s->size)
        s->at = s->size - 1;
}

/* As option files want it: in quotes, what is behind a backslash has a meaning. */
static void put_value(struct settings *s, const char *name, const char *value)
{
    put(s, "%s=\"", name);
    for (; *value; value++)
        put(s, "%s%c", *value == '\\' ? "\\" : "", *value);
    put(s, "\"\n");
}

/* By the name of an option, or of a plugin. */
static bool is_of_keys(const char *name)
{
    return strstr(name, "key_management") || strstr(name, "key-management") ||
           !strncmp(name, "provider_", 9) || !strncmp(name, "provider-", 9);
}

/* What all plugins need to be found and let in. */
static bool is_of_plugins(const char *name)
{
    return !strcmp(name, "plugin-dir") || !strcmp(name, "plugin-maturity");
}

/* One option as --print-defaults says it, "--plugin-load-add=a.so;b.so". */
static bool take_option(struct settings *s, char *name)
{
    bool any = false;
    char *value = strchr(name, '=');
    if (value)
        *value++ = '\0';
    for (char *c = name; *c; c++)
        *c = *c == '_' ? '-' : *c;
    const char *plain = strncmp(name, "loose-", 6) ? name : name + 6;
    bool load = !strcmp(plain, "plugin-load") || !strcmp(plain, "plugin-load-add");
    if (!load && (is_of_keys(plain) || is_of_plugins(plain))) {
        any = is_of_keys(plain);
        if (value)
            put_value(s, name, value);
        else
            put(s, "%s\n", name);
    }
    for (char *rest = load ? value : NULL, *plugin; rest && (plugin = strsep(&rest, ";"));)
        if (is_of_keys(plugin)) {
            put_value(s, "plugin-load-add", plugin);
            any = true;
        }
    return any;
}

bool server_program_key_settings(const char *program, char *out, size_t size,
                                 struct gb_error *error)
{
    char text[65536];
    struct settings s = {out, size, 0};
    bool any = false;
    out[0] = '\0';
    if (!output_of(program, "--print-defaults", text, sizeof text))
        return true;
    put(&s, "[mysqld]\n");
    /* A value may hold spaces; what begins with " --" is the next option. */
    for (char *at = strstr(text, "--"), *next; at; at = next) {
        next = strstr(at, " --");
        if (next)
            *next++ = '\0';
        size_t length = strcspn(at, "\n");
        while (length && at[length - 1] == ' ')
            length--;
        at[length] = '\0';
        any |= take_option(&s, at + 2);
    }
    if (!any)
        out[0] = '\0';
    return !any || s.at + 1 < size ||
           error_set(error, GB_internal,
                     "the settings of key plugins that %s has are longer than %zu bytes", program,
                     size);
}
